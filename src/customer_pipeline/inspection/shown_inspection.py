"""What was found out about a file → lines for a screen, or JSON for a program; no value in either."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from audited_load.inspecting.column_facts import MAX_DISTINCT, ColumnFacts, FileFacts
from audited_load.inspecting.first_look import FirstLook
from audited_load.inspecting.likely_columns import SURE, Match, find_candidates
from audited_load.inspecting.likely_form import LikelyForm
from audited_load.inspecting.proposal import find_prefixes
from audited_load.inspecting.trial import MANY_AGAIN, ColumnTrial, Trial
from audited_load.reading.encoding import GUESSED
from audited_load.shown import count_of, escape_text, most_frequent, show_text
from customer_pipeline.feed import FEED

SHOWN = 4
"""Reasons, rules and kinds that fit a line."""


@dataclass(frozen=True)
class Inspection:
    """All that was found out about a file.

    Attributes:
        look: How it is written.
        facts: What its columns hold.
        form: How its numbers and dates are written.
        matches: Which of its columns are the table's.
        personal: Which of its columns, from 0, are personal, as far as it seems.
        proposal: A contract that would read it.
        trial: What the rules would make of its values with that contract.
    """

    look: FirstLook
    facts: FileFacts
    form: LikelyForm
    matches: dict[str, Match]
    personal: frozenset[int]
    proposal: str
    trial: Trial

    @property
    def missing(self) -> list[str]:
        """The table's columns that weren't found."""
        return [name for name in FEED.names if name not in self.matches]

    @property
    def impossible(self) -> list[str]:
        """Those among them that no row may lack, and that no column of the file can be."""
        return [
            column.name
            for column in FEED.columns
            if column.name in self.missing
            and column.required
            and not find_candidates(self.facts.columns, column, self.matches)
        ]


KEY_REMEDY = (
    "Ask the supplier for an id of its own in each line, or have one made of both before the file comes in: the"
    " table's key is one column."
)


def find_key_problem(found: Inspection) -> str:
    """Say that the key doesn't tell records apart, if so."""
    again, good = found.trial.key_again, found.facts.records - sum(found.facts.broken.values())
    if again <= MANY_AGAIN * max(good, 1):
        return ""
    key = found.facts.columns[found.matches[FEED.key].place].name
    pairs = " or ".join(show_text(pair) for pair in found.trial.pairs[:SHOWN])
    together = f" Together with {pairs} it would." if pairs else ""
    return (
        f"{show_text(key)} doesn't tell records apart: {again} of {count_of(good, 'record')} share it with a"
        f" different one, as order lines do.{together}"
    )


def find_doubts(found: Inspection) -> list[str]:
    """Return what isn't certain, and what stands in the way, a sentence each."""
    facts, look = found.facts, found.look
    doubts = [*look.doubts, *found.form.unsure.values()]
    if look.source.encoding.origin == GUESSED:
        doubts.insert(0, "The encoding is guessed: look at names with accents, or say --encoding.")
    if facts.broken:
        counts = ", ".join(f"{fault} {number}" for fault, number in most_frequent(facts.broken))
        doubts.append(f"{count_of(sum(facts.broken.values()), 'record')} can't be split into fields: {counts}.")
    if not facts.records:
        doubts.append("There is no record under the header: only names could be looked at.")
    doubts += [
        f"{show_text(facts.columns[match.place].name)} as {name} is {match.how_sure}: {match.why}."
        for name, match in found.matches.items()
        if match.how_sure != SURE
    ]
    for name, trial in found.trial.columns.items():
        refused = sum(trial.refused.values())
        if refused > MANY_AGAIN * (trial.values + refused):
            why = ", ".join(f"{reason} {number}" for reason, number in most_frequent(trial.refused)[:SHOWN])
            values = count_of(trial.values + refused, "value")
            doubts.append(f"{name}: {refused} of {values} would be refused ({why}).")
    for name, match in found.matches.items():
        prefixes = [prefix for prefix, _ in find_prefixes(facts.columns[match.place])]
        if len(prefixes) > 1 and found.trial.columns[name].refused:
            doubts.append(
                f"{name}: ids begin in several ways ({', '.join(prefixes[:SHOWN])}); a contract knows one."
            )
    if found.missing:
        missing = ", ".join(found.missing)
        doubts.append(f"Not found: {missing}. If a column has another name, say so in the contract.")
    if problem := find_key_problem(found):
        doubts.append(f"{problem} {KEY_REMEDY}")
    return doubts


def describe(found: Inspection) -> str:
    """Put what was found into lines for a screen."""
    look, facts = found.look, found.facts
    dialect = look.source.dialect
    whole = "all of them" if facts.is_whole else "the file holds more: --rows 0 looks at all"
    lines = [
        f"{show_text(look.source.path.name, 200)}: {count_of(facts.records, 'record')} looked at, {whole}",
        f"  {look.source.encoding}, delimiter {dialect.delimiter!r}, quote {dialect.quote},"
        f" header on line {look.source.body_line - 1}, {count_of(len(facts.columns), 'column')}",
        f"  decimals: {_said(found.form.decimal, 'after a point, or none')};"
        f" dates that end with their year: {_said(found.form.date_order, 'day first, or none')}",
    ]
    by_place = {match.place: match for match in found.matches.values()}
    for place, one in enumerate(facts.columns):
        match = by_place.get(place)
        lines += _describe_column(one, match, found.trial.columns.get(match.column) if match else None,
                                  is_personal=place in found.personal)  # fmt: skip
    doubts = find_doubts(found)
    lines += ["Not certain:", *(f"  - {doubt}" for doubt in doubts)] if doubts else ["Nothing speaks against this."]
    return "\n".join(map(escape_text, lines)) + "\n"


def _said(word: str, otherwise: str) -> str:
    return otherwise if word == "auto" else {"point": "after a point", "comma": "after a comma"}.get(
        word, word.replace("_", " ")
    )  # fmt: skip


def _describe_column(
    one: ColumnFacts, match: Match | None, trial: ColumnTrial | None, *, is_personal: bool
) -> list[str]:
    target = f"probably {match.column} ({match.how_sure}: {match.why})" if match else "none of the table's"
    differ = f"{MAX_DISTINCT} or more" if one.distinct.number == MAX_DISTINCT else str(one.distinct.number)
    kinds = ", ".join(f"{kind} {number}" for kind, number in most_frequent(one.kinds)[:SHOWN]) or "no value"
    lines = [
        f"{show_text(one.name) or '(no name)'}: {target}{'; personal, it seems' if is_personal else ''}",
        f"    {kinds}; blank {one.blanks}{_tokens(one)}; {differ} differ; {' '.join(map(repr, one.examples()))}",
    ]
    if trial:
        span = ""
        if trial.least is not None and not is_personal:
            span = f", from {trial.least} to {trial.most}"
        lines.append(f"    read {trial.values}{span}; no value {trial.nulls}")
        lines += [
            f"    {what} {', '.join(f'{name} {number}' for name, number in most_frequent(counts)[:SHOWN])}"
            for what, counts in (("changed", trial.changed), ("refused", trial.refused))
            if counts
        ]
    return lines


def _tokens(one: ColumnFacts) -> str:
    found = ", ".join(f"{token!r} {number}" for token, number in most_frequent(one.tokens)[:SHOWN])
    return f", as good as blank {found}" if found else ""


def to_json(found: Inspection) -> dict[str, object]:
    """Return what was found for programs; no value in it either."""
    look, facts = found.look, found.facts
    by_place = {match.place: match for match in found.matches.values()}
    columns = []
    for place, one in enumerate(facts.columns):
        match = by_place.get(place)
        trial = found.trial.columns.get(match.column) if match else None
        is_personal = place in found.personal
        columns.append(
            {
                "name": one.name,
                "column": match.column if match else None,
                "how_sure": match.how_sure if match else None,
                "why": match.why if match else None,
                "personal": is_personal,
                "filled": one.filled,
                "blank": one.blanks,
                "null_tokens": dict(one.tokens),
                "distinct": one.distinct.number,
                "kinds": dict(one.kinds),
                "examples": one.examples(),
                "minimum": None if trial is None or is_personal else trial.least,
                "maximum": None if trial is None or is_personal else trial.most,
                "read": trial.values if trial else None,
                "changed": dict(trial.changed) if trial else {},
                "refused": dict(trial.refused) if trial else {},
            }
        )
    dialect = look.source.dialect
    return {
        "source": look.source.path.name,
        "records": facts.records,
        "is_whole": facts.is_whole,
        "broken": dict(facts.broken),
        "encoding": str(look.source.encoding),
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "header_line": look.source.body_line - 1,
        "form": asdict(found.form),
        "columns": columns,
        "missing": found.missing,
        "doubts": find_doubts(found),
        "contract": found.proposal,
    }
