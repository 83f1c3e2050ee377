"""The operator's command, and the runtime that needs no Docker."""
