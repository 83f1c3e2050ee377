"""Data contracts in the Open Data Contract Standard: a YAML file → a feed."""
