"""Read, clean, quarantine, load, audit and publish tabular data, with every record accounted for."""

__version__ = "0.1.0"
