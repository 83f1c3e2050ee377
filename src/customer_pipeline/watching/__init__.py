"""What an operator sees of runs and services: steps, causes, logs, and the state of all of it."""
