"""What an operator types: the one place that knows the command's name."""

from __future__ import annotations

COMMAND = ".venv/bin/customer-pipeline"
"""As it is typed in the clone, under either runtime: what lies in containers it reaches from outside."""


def command(words: str) -> str:
    """Return a command line for a message, ready to be typed, between backticks.

    Args:
        words: Subcommand and arguments, such as `run FILE`.
    """
    return f"`{COMMAND} {words}`"
