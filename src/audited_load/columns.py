"""The vocabulary in which a feed is described: columns, their types, the rules for their values.

A feed is data: nothing here reads a file. A value goes through its column's rules in order; each rule
rewrites the texts that its pattern matches and is counted. What is then a canonical value of the column's
type is accepted. Anything else is refused, with the name of the first refusal whose pattern matches.

Rules and refusals are written for decimal points. In a file of decimal commas, comma and point change places in
numbers before the rules see them; which rules hold for which form of a file, each says itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from audited_load.form import UNDECLARED, Form


@dataclass(frozen=True)
class WholeNumber:
    """Integers from `minimum` to `maximum`, both included."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Amount:
    """Exact decimals with at most `precision` digits, `scale` of them after the point."""

    precision: int
    scale: int


@dataclass(frozen=True)
class CalendarDate:
    """Days of the proleptic Gregorian calendar from `first` to `last`, both included."""

    first: date = date.min
    last: date = date.max


@dataclass(frozen=True)
class Text:
    """Text of at most `maximum` characters, in Unicode NFC."""

    maximum: int


SOURCE_RECORD = "source_record"
"""The cleaned file's last column: the number of the record in its source, from 1."""

Kind: TypeAlias = WholeNumber | Amount | CalendarDate | Text


@dataclass(frozen=True)
class Rule:
    r"""One named way to read a value.

    Attributes:
        name: What the counts in the report call it.
        pattern: Regular expression (Rust syntax, no look-around) of the texts that the rule reads.
        rewrite: Replacement for the match (`${1}` is the first group), or a function of a module from text to
            text that returns None when it can't read the text. Other processes import it by its name.
        examples: Pairs of a text and what the rule makes of it; documentation, and tested.
        when: The forms of a file in which it holds, such as `decimal=comma`; always, if empty.
        needs: Characters, one of which stands in every text that matches, and which no rule before writes. Only
            saves time: where no text has any, none is looked at.
    """

    name: str
    pattern: str
    rewrite: str | Callable[[str], str | None]
    examples: tuple[tuple[str, str], ...]
    when: tuple[str, ...] = ()
    needs: str = ""


@dataclass(frozen=True)
class Refusal:
    """One named reason for which a value can't be read.

    Attributes:
        name: What the counts in the report call it.
        pattern: Regular expression of the texts that it explains, as the rules left them.
        why: The explanation, as the end of a sentence that starts with the value as it stands in the file.
        examples: Texts that it refuses; documentation, and tested.
        when: The forms of a file in which it holds, such as `decimal=comma`; always, if empty.
        needs: Characters, one of which stands in every text that matches; only saves time.
    """

    name: str
    pattern: str
    why: str
    examples: tuple[str, ...]
    when: tuple[str, ...] = ()
    needs: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a feed.

    Attributes:
        name: Its name in the header, in lower case.
        kind: The type of its values.
        required: Whether a record without a value is refused.
        null_tokens: Texts, in lower case, that mean "no value" beside the blank.
        rules: Applied in order, of every form of a file.
        refusals: Looked through in order; the last one's pattern should match everything.
        wrappers: Rules for what stands around a value; applied first, before null tokens are looked for.
        form: How the file is written; the feed's.
    """

    name: str
    kind: Kind
    required: bool
    null_tokens: frozenset[str]
    rules: tuple[Rule, ...]
    refusals: tuple[Refusal, ...]
    wrappers: tuple[Rule, ...] = ()
    form: Form = UNDECLARED

    @property
    def swaps_marks(self) -> bool:
        """Whether comma and point have changed places in its texts."""
        return self.form.decimal == "comma" and isinstance(self.kind, WholeNumber | Amount)


@dataclass(frozen=True)
class ControlTotal:
    """A sum that must be the same in the file, in the table and in the marts.

    Attributes:
        name: Its name in the report and, after `total_`, in the ledger.
        factors: Columns whose product is summed; a record where one is null adds nothing.
    """

    name: str
    factors: tuple[str, ...]


@dataclass(frozen=True)
class ContractName:
    """Which contract a feed was built from.

    Attributes:
        id: The contract's own name.
        version: Its version.
        sha256: Of what it declares.
    """

    id: str
    version: str
    sha256: str


NO_CONTRACT = ContractName("", "", "")


@dataclass(frozen=True)
class Feed:
    """Everything that the engine knows of a data set.

    Attributes:
        name: Starts the names of its files.
        columns: In the order of the cleaned file and of the table.
        key: The column that identifies a record; two records with one key are duplicates or corrections.
        totals: The control totals.
        subject: The column that says which person a record is about, and becomes blank if that person is erased.
        form: How the file is written; all columns follow it.
        contract: The contract that it was built from, if there is one.
        aliases: Other names for columns in a header, normalised, each with the column's.
        left_out: Names in a header, normalised, that are known and mean no column; others are unknown.
    """

    name: str
    columns: tuple[Column, ...]
    key: str
    totals: tuple[ControlTotal, ...]
    subject: str = ""
    form: Form = UNDECLARED
    contract: ContractName = NO_CONTRACT
    aliases: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Let the columns follow the form, whoever put them in."""
        columns = tuple(replace(column, form=self.form) for column in self.columns)
        object.__setattr__(self, "columns", columns)

    def in_form(self, form: Form) -> Feed:
        """Return the feed as it is read from files that are written so."""
        return replace(self, form=form)

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]
