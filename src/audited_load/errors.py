"""The pipeline's errors: what happened, where, and what to do about it.

```
PipelineError
├── BadDataError         terminal: the same input fails again, so it is never retried
│   └── UnusableFileError    terminal: the file can't be read as records at all
├── RefusedError         terminal: a guard or another run stands in the way; a person decides
└── UnavailableError     retryable: a server, a lock or a disk that may be there next time
```
"""

from __future__ import annotations

from audited_load.shown import escape_text

SAYS_REMEDY = "\n  What to do: "
"""Between what happened and what to do, in the text of an error."""


class PipelineError(Exception):
    """An error that an operator can act on.

    Attributes:
        message: What happened and where, without any row of data. What a terminal would obey is escaped.
        remedy: What to do next, as one sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        # A file's or a column's name comes from outside, and ends in terminals and logs.
        self.message, self.remedy = escape_text(message), escape_text(remedy)
        super().__init__(self.message, self.remedy)  # both, so that it can be pickled

    def __str__(self) -> str:
        """Return the message, then the remedy on a line of its own."""
        return f"{self.message}{SAYS_REMEDY}{self.remedy}"


class BadDataError(PipelineError):
    """The data breaks a rule: running it again can't help."""


class UnusableFileError(BadDataError):
    """The file is missing, empty, unreadable, or lacks a required column."""


class RefusedError(PipelineError):
    """A guard refused the step: a person has to decide, then run it again."""


class UnavailableError(PipelineError):
    """Something that the step needs is away for now: a retry may help."""
