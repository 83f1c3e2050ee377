"""What tasks import and dbt parses → once, in the process that they are forked from: an executor, or a worker."""
