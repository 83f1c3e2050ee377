"""A file that nobody knows → what is in it, what it probably means, and a contract that would read it."""
