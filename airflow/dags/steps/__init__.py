"""The steps of the pipeline: one module per task group, and the column rules."""
