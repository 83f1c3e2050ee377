"""The steps of the pipeline: one module a task group, and the column rules."""
