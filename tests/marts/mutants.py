"""A statement of SQL → the same with one thing wrong, in every way that somebody may get it wrong.

SQLFluff says what each piece of the text is, and where; a mutant is the text with one piece replaced.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, pairwise

from sqlfluff.core import FluffConfig, Linter
from sqlfluff.core.parser import BaseSegment

COMPARED = {
    ">": (">=", "<"), "<": ("<=", ">"), ">=": (">", "<="), "<=": ("<", ">="), "=": ("<>",), "<>": ("=",),
}  # fmt: skip
CALCULATED = {"+": ("-",), "-": ("+",), "*": ("+", "-"), "/": ("*",), "and": ("or",), "or": ("and",), "||": ()}
CALLED = {
    "min": ("max",), "max": ("min",), "sum": ("min", "count"), "avg": ("min", "sum"), "count": ("max",),
    "least": ("greatest",), "greatest": ("least",), "lag": ("lead", "first_value"), "lead": ("lag",),
    "bool_or": ("bool_and",), "bool_and": ("bool_or",), "first_value": ("last_value",), "to_char": (),
}  # fmt: skip
WORDS = {
    "asc": ("desc",), "desc": ("asc",), "distinct": ("",), "inner": ("left",), "left": ("inner",),
    "except": ("union",), "all": ("",), "in": ("not in",), "not": ("",),
}  # fmt: skip
BOOLEAN = {"true": ("false",), "false": ("true",)}
PARTS = ("year", "quarter", "month", "week", "day", "isoyear", "isodow", "dow", "doy", "decade")
PASSED_THROUGH = {"coalesce", "nullif", "abs", "round", "greatest", "least", "date_trunc"}
"""Functions of which a mutant is one of their own arguments."""
WITHOUT = {"where_clause", "filter_clause", "orderby_clause", "partitionby_clause", "aggregate_order_by"}
CONDITIONS = {"where_clause", "when_clause", "join_on_condition", "having_clause"}


@dataclass(frozen=True)
class Mutant:
    """A change of a statement.

    Attributes:
        part: The named part of the statement (`name as (…)`) that it is in.
        around: That part before and after, from bracket to bracket; both empty outside of one.
        start: Where the replaced text begins.
        end: Where it ends.
        text: What stands there instead.
        change: The replaced text, and what stands there instead.
        line: The line or lines in which it stood.
    """

    part: str
    around: tuple[str, str]
    start: int
    end: int
    text: str
    change: str
    line: str

    def of(self, statement: str) -> str:
        """Make the wrong statement."""
        return statement[: self.start] + self.text + statement[self.end :]


@lru_cache
def parts_of(statement: str) -> list[str]:
    """Say the named parts of a statement without their names, and the elements of its selects."""
    tree = _parse(statement)
    parts = [_bracketed(part).raw for part in tree.recursive_crawl("common_table_expression")]
    return parts + [element.raw for element in tree.recursive_crawl("select_clause_element")]


def mutants_of(statement: str, known: Collection[str] = ()) -> list[Mutant]:
    """Make all mutants of a statement.

    Args:
        statement: One statement of PostgreSQL's.
        known: Texts that are mutated elsewhere: named parts of another statement, and elements of its select.

    Returns:
        The mutants, in the order of the text; no two make the same statement.
    """
    known = set(map(_squeezed, known))
    made: dict[str, Mutant] = {}
    for part, start, end, text in chain.from_iterable(
        _changes(query, None, [], known) for query in _queries(_parse(statement))
    ):
        name, around = "", ("", "")
        if part:
            name, (first, last) = part.segments[0].raw, _span(_bracketed(part))
            around = statement[first:last], statement[first:start] + text + statement[end:last]
        change = f"{_in_one_line(statement[start:end])} → {_in_one_line(text) or 'nothing'}"
        mutant = Mutant(name, around, start, end, text, change, _line(statement, start, end))
        made.setdefault(_squeezed(mutant.of(statement)), mutant)
    made.pop(_squeezed(statement), None)
    return sorted(made.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.text))


@lru_cache(1)
def _parse(statement: str) -> BaseSegment:
    config = FluffConfig(overrides={"dialect": "postgres", "templater": "raw"})
    parsed = Linter(config=config).parse_string(statement)
    assert parsed.tree is not None
    assert not parsed.violations, parsed.violations
    assert "unparsable" not in parsed.tree.type_set()
    return parsed.tree


def _queries(tree: BaseSegment) -> list[BaseSegment]:
    """Find what is asked for; if a model's statement is wrapped in one of dbt's, then only the model's."""
    for kinds in (("with_compound_statement",), ("set_expression", "select_statement")):
        if found := list(tree.recursive_crawl(*kinds, recurse_into=False)):
            return found
    return []


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _line(statement: str, start: int, end: int) -> str:
    first, last = statement.rfind("\n", 0, start) + 1, statement.find("\n", end)
    return _in_one_line(statement[first : len(statement) if last < 0 else last])


def _bracketed(part: BaseSegment) -> BaseSegment:
    return next(child for child in part.segments if child.is_type("bracketed"))


def _changes(
    segment: BaseSegment, part: BaseSegment | None, columns: list[str], known: set[str]
) -> Iterator[tuple[BaseSegment | None, int, int, str]]:
    if segment.is_type("common_table_expression"):
        if _squeezed(_bracketed(segment).raw) in known:
            return
        part = part or segment
    # `exists (select 1 …)` asks for no value.
    if segment.is_type("select_clause_element") and (segment.raw == "1" or _squeezed(segment.raw) in known):
        return
    if segment.is_type("select_statement"):
        columns = sorted({column.raw for column in segment.recursive_crawl("column_reference")})
    if segment.is_type("cast_expression") and segment.segments[0].is_type("literal"):
        segment = segment.segments[0]  # its type is the contract's business
    if segment.is_type("data_type"):
        yield from ((part, *change) for change in _types(segment))
        return
    if segment.pos_marker is not None:
        yield from ((part, *change) for change in _here(segment, columns))
    if segment.is_type("numeric_literal"):
        return
    for child in segment.segments:
        yield from _changes(child, part, columns, known)


def _span(*segments: BaseSegment) -> tuple[int, int]:
    places = [segment.pos_marker.source_slice for segment in segments if segment.pos_marker is not None]
    return places[0].start, places[-1].stop


def _here(segment: BaseSegment, columns: list[str]) -> Iterator[tuple[int, int, str]]:
    """Changes of this segment itself."""
    place = _span(segment)
    yield from ((*place, text) for text in _instead(segment, columns))
    yield from _of_more(segment, place)


def _instead(segment: BaseSegment, columns: list[str]) -> Iterable[str]:
    raw = segment.raw.lower()
    for kind, texts in (
        ("comparison_operator", COMPARED),
        ("binary_operator", CALCULATED),
        ("keyword", WORDS),
        ("function_name", CALLED),
        ("boolean_literal", BOOLEAN),
    ):
        if segment.is_type(kind) and raw in texts:
            return texts[raw]
    if segment.is_type("numeric_literal"):
        return (str(int(raw) + 1), str(int(raw) - 1)) if re.fullmatch(r"-?\d+", raw) else (f"({raw} + 1)",)
    if segment.is_type("quoted_literal"):
        return _texts(raw, segment.raw)
    if segment.is_type("date_part", "keyword", "naked_identifier", "datetime_unit"):
        return _others(raw, list(PARTS), 3)
    if segment.is_type("column_reference"):
        return _others(segment.raw, [name for name in columns if _table(name) == _table(segment.raw)], 3)
    return ("",) if segment.is_type(*WITHOUT) else ()


def _of_more(segment: BaseSegment, place: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
    """Changes of a segment by what stands in it."""
    children = [child for child in segment.segments if child.is_code]
    if segment.is_type("cast_expression"):
        yield (*place, children[0].raw)
    elif segment.is_type("function"):
        yield from ((*place, text) for text in _calls(segment))
    elif segment.is_type("else_clause"):
        yield (*place, "")
    elif segment.is_type(*CONDITIONS):
        for expression in [child for child in children if child.is_type("expression")][:1]:
            yield from ((*_span(*operand), text) for operand in _operands(expression) for text in ("true", "false"))
    if segment.is_type("expression"):
        words = [(child.raw.lower(), child) for child in children]
        for (one, _), (other, child) in pairwise(words):
            if one == "is" and other in {"null", "true", "false", "distinct"}:
                yield (*_span(child), f"not {other}")
    if segment.is_type("set_operator") and segment.raw.lower() == "union":
        yield (*place, "union all")


def _operands(expression: BaseSegment) -> Iterator[list[BaseSegment]]:
    """What `and` and `or` stand between; inner brackets are expressions of their own."""
    operand: list[BaseSegment] = []
    for child in expression.segments:
        if child.is_type("binary_operator") and child.raw.lower() in {"and", "or"}:
            yield operand
            operand = []
        elif child.is_code:
            if len(expression.segments) == 1 and child.is_type("bracketed"):
                yield from _operands(next(inner for inner in child.segments if inner.is_type("expression")))
                return
            operand.append(child)
    if operand:
        yield operand
        if len(operand) == 1 and operand[0].is_type("bracketed"):
            for inner in operand[0].segments:
                if inner.is_type("expression"):
                    yield from _operands(inner)


def _calls(function: BaseSegment) -> Iterator[str]:
    name, contents = function.segments[0].raw.lower(), function.segments[-1].raw
    arguments = [child.raw for child in function.recursive_crawl("function_contents", recurse_into=False)]
    inner = next(function.recursive_crawl("bracketed"), None)
    expressions = [child.raw for child in inner.segments if child.is_type("expression", "literal")] if inner else []
    if name in PASSED_THROUGH:
        yield from (f"({expression})" for expression in expressions)
    if name == "count" and arguments:
        yield f"{function.raw} + 1"
        if "distinct" not in contents.lower() and "*" not in contents and expressions:
            yield function.raw.replace(arguments[0], "(*)")
            yield function.raw.replace(arguments[0], f"(distinct {expressions[0]})")
    if name in {"sum", "avg", "array_agg"} and expressions and len(expressions) == 1:
        yield function.raw.replace(expressions[0], f"distinct {expressions[0]}", 1)


def _types(segment: BaseSegment) -> Iterator[tuple[int, int, str]]:
    numbers = list(segment.recursive_crawl("numeric_literal"))
    if len(numbers) == 2:
        yield (*_span(numbers[1]), str(int(numbers[1].raw) - 1))


def _texts(raw: str, text: str) -> tuple[str, ...]:
    if raw.strip("'") in PARTS:
        return tuple(f"'{other}'" for other in _others(raw.strip("'"), list(PARTS), 2))
    if number := re.match(r"'(\d+) ", raw):
        return (text.replace(number[1], str(int(number[1]) + 1), 1), text.replace(number[1], "0", 1))
    if raw == "'infinity'":
        return ("'-infinity'",)
    return (text[:-1] + "x'", "''")


def _others(value: str, values: list[str], number: int) -> Iterator[str]:
    """Take the next ones after a value, and then those from the start."""
    if value in values:
        place = values.index(value)
        yield from islice(chain(values[place + 1 :], values[:place]), number)


def _table(column: str) -> str:
    return column.rpartition(".")[0]
