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

INTEGER_MAX = 2**31 - 1
"""Of PostgreSQL's `integer`; above it, it is `bigint`."""
DRIFT_POLICIES = ("warn", "fail", "ignore")
HASH, DROP = "hash", "drop"
"""How a column may be masked: a keyed hash stands for its values, or nothing does."""
HASH_CHARACTERS = 64
"""Of HMAC-SHA256, as hexadecimal digits."""

Kind: TypeAlias = WholeNumber | Amount | CalendarDate | Text


@dataclass(frozen=True)
class Part:
    """What a rule keeps of a text: all from character number `start` on, counted from 0, up to the first `end`."""

    start: int = 0
    end: str = ""


@dataclass(frozen=True)
class Rule:
    r"""One named way to read a value.

    Attributes:
        name: What the counts in the report call it.
        pattern: Regular expression (Rust syntax, no look-around) of the texts that the rule reads.
        rewrite: Replacement for the match (`${1}` is the first group); the `Part` of the text that stays; or a
            function of a module from text to text that returns None when it can't read the text. Other processes
            import it by its name.
        examples: Pairs of a text and what the rule makes of it; documentation, and tested.
        when: The forms of a file in which it holds, such as `decimal=comma`; always, if empty.
        needs: Characters, one of which stands in every text that matches, and which no rule before writes. Only
            saves time: where no text has any, none is looked at.
    """

    name: str
    pattern: str
    rewrite: str | Part | Callable[[str], str | None]
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
        optional: Whether a file may lack it.
        further: Whether only files of some contracts have it, so that it is null in the rows of others.
        masking: `HASH`: a keyed hash stands for its values before anything is written; blank: they are kept.
    """

    name: str
    kind: Kind
    required: bool
    null_tokens: frozenset[str]
    rules: tuple[Rule, ...]
    refusals: tuple[Refusal, ...]
    wrappers: tuple[Rule, ...] = ()
    form: Form = UNDECLARED
    optional: bool = False
    further: bool = False
    masking: str = ""

    @property
    def sql_type(self) -> str:
        """Return its type in the table, as PostgreSQL names it, and whether it may be null."""
        null = "not null" if self.required and not self.further else "null"
        match Text(HASH_CHARACTERS) if self.masking else self.kind:
            case WholeNumber(_, maximum):
                kind = "integer" if maximum <= INTEGER_MAX else "bigint"
            case Amount(precision, scale):
                kind = f"numeric({precision},{scale})"
            case CalendarDate():
                kind = "date"
            case Text():
                kind = "text"
        return f"{kind} {null}"

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
        base: The sha256 of the default contract, if it says only what differs from that.
    """

    id: str
    version: str
    sha256: str
    base: str = ""


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
        dropped: Columns of its files whose values must not be written anywhere.
        left_out: Columns of its files that are known and not kept, normalised.
        patterns: Which files of the data folder are read by its contract, unless somebody names another.
        unknown: What to do with a column that is neither the feed's nor left out: "warn", "fail" or "ignore".
        vanished: The same for an optional column that the load before had.
        currency: The code of the one currency of its amounts, if it has any.
    """

    name: str
    columns: tuple[Column, ...]
    key: str
    totals: tuple[ControlTotal, ...]
    subject: str = ""
    form: Form = UNDECLARED
    contract: ContractName = NO_CONTRACT
    aliases: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    unknown: str = "warn"
    vanished: str = "fail"
    currency: str = ""

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

    @property
    def optional(self) -> list[str]:
        """The names of those that a file may lack."""
        return [column.name for column in self.columns if column.optional]

    @property
    def needs_key(self) -> bool:
        """Whether values of its files must not be written as they are."""
        return bool(self.dropped) or any(column.masking for column in self.columns)
