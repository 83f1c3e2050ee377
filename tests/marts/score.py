"""Every model with one thing wrong, in every way → which of them give other marts, and which nobody would notice.

A mutant is the SQL that dbt ran with one piece replaced. It is run where dbt ran it, in a transaction that is taken
back, and what it makes is compared with what the oracle has confirmed. dbt's data tests could not tell more: they
look at the same rows.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import psycopg

from customer_pipeline.feed import MARTS
from marts.equivalents import EQUIVALENTS, Equivalent, equivalence_of
from marts.mutants import Mutant, mutants_of, parts_of
from marts.oracle import KEYS
from marts.states import STAGED, State

Dsn = Callable[[str], str]
MAKES = re.compile(r"\s*(?:/\*.*?\*/)?\s*(?:drop|analyze|create\s+(?:table|view))\s", re.DOTALL)
CREATED = re.compile(r'create\s+(?:table|view)\s+"\w+"\."\w+"\."(\w+)"')
SET = re.compile(r"_s\d+\b")
ANY_SET = "_s0"
CONTRACT = re.compile(r"\sfrom \((.*)\) as model_subq|create view \S+\s+as \((.*)\);", re.DOTALL)


@dataclass(frozen=True)
class Wrong:
    """A mutant of one of a model's statements, in a build or in a merge."""

    model: str
    way: str
    statement: str
    mutant: Mutant

    @property
    def part(self) -> str:
        """Where it is: a named part of the statement, or the relation that the statement makes."""
        made = CREATED.findall(self.statement)
        return self.mutant.part or made[-1]

    @property
    def where(self) -> str:
        """Model, way and part, as the reasons name it."""
        return f"{self.model} ({self.way}) {self.part}"

    @property
    def equivalence(self) -> Equivalent | None:
        """The reason why it changes nothing, if there is one."""
        return equivalence_of(self.where, self.mutant.change, self.mutant.line)

    def __str__(self) -> str:
        return f"{self.where}: {self.mutant.change}   in: {self.mutant.line}"


@dataclass
class Score:
    """What became of the mutants: `killed`, `refused` by a constraint, `invalid` to PostgreSQL, or left."""

    outcomes: dict[Wrong, str] = field(default_factory=dict)

    @property
    def survivors(self) -> list[Wrong]:
        return [wrong for wrong in self._left() if not wrong.equivalence]

    @property
    def equivalent(self) -> list[Wrong]:
        return [wrong for wrong in self._left() if wrong.equivalence]

    @property
    def stale(self) -> list[Equivalent]:
        """Reasons that no mutant needs."""
        needed = [wrong.equivalence for wrong in self.equivalent]
        return [known for known in EQUIVALENTS if known not in needed]

    def _left(self) -> list[Wrong]:
        return [wrong for wrong, outcome in self.outcomes.items() if outcome == "survived"]

    def __str__(self) -> str:
        by_model: dict[str, Counter[str]] = {}
        for wrong, outcome in self.outcomes.items():
            shown = "equivalent" if outcome == "survived" and wrong.equivalence else outcome
            by_model.setdefault(f"{wrong.model}, {wrong.way}", Counter())[shown] += 1
        lines = []
        for name, counts in by_model.items():
            lines.append(
                f"{name:40} " + ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
            )
        total = Counter(self.outcomes.values())
        dead = total["killed"] + total["refused"]
        lines.append(
            f"{dead} killed, {total['refused']} of them by a constraint; {len(self.equivalent)} equivalent;"
            f" {len(self.survivors)} survived; {total['invalid']} that PostgreSQL does not run"
        )
        return "\n".join([*lines, *(f"SURVIVED {wrong}" for wrong in self.survivors)])


class Mutation:
    """Mutants of all models, tried in one state after the other; in later ones only those that are left.

    Of a `share`, most are left out with whole statements, which then need not be read: that takes a second each.
    """

    def __init__(self, dsn: Dsn, share: float = 1, seed: int = 0):
        self.score = Score()
        self._dsn, self._share, self._chance = dsn, share, random.Random(seed)
        self._states, self._taken = 0, 0.0
        self._texts: dict[tuple[str, str], list[str]] = {}

    def try_in(self, state: State) -> None:
        """Try those that this state can tell: of builds once they are published, of merges before it."""
        if not state.statements or state.is_merged != state.name.endswith("built"):
            return
        way = "merge" if state.is_merged else "build"
        with psycopg.connect(self._dsn("transformer")) as connection:
            connection.execute("set statement_timeout = '5s'")
            # Else an order that one aggregate asks for, or that an index has, would be there for others, too.
            connection.execute("set enable_presorted_aggregate = off")
            self._states += 1
            if self._states % 2 == 0:
                connection.execute("set enable_indexscan = off")
                connection.execute("set enable_bitmapscan = off")
            connection.commit()
            for model, statements in sorted(state.statements.items()):
                if model == STAGED and state.is_merged:
                    continue
                numbers = set(SET.findall("".join(statements)))
                number = numbers.pop() if numbers else ANY_SET
                assert not numbers
                steps = [SET.sub(ANY_SET, text) for text in statements if MAKES.match(text)]
                if not state.is_merged:
                    steps = [text for text in steps if CREATED.search(text)]
                schema = MARTS.staging if model == STAGED else state.schema
                self._try_model(connection, f"{schema}.{model}", way, steps, number)

    def _try_model(
        self, connection: psycopg.Connection[Any], confirmed: str, way: str, steps: list[str], number: str
    ) -> None:
        model = confirmed.split(".")[1]

        def run(steps: list[str]) -> tuple[list[int], bytes] | str:
            return _run(connection, [step.replace(ANY_SET, number) for step in steps], model, relation)

        relation = f"{MARTS.staging}.{model}{'__dbt_tmp' if way == 'build' else ''}"
        right = run(steps)
        assert isinstance(right, tuple), right
        assert right[1].startswith(_read(connection, f"table {confirmed} order by {', '.join(KEYS[model])}"))
        for wrong in [*self._mutants(model, way, steps), *self._left_of_build(model, way)]:
            if self.score.outcomes.get(wrong, "survived") != "survived":
                continue
            if wrong.way == way:
                mutated = [wrong.mutant.of(step) if step == wrong.statement else step for step in steps]
            else:
                mutated = [step.replace(*wrong.mutant.around) for step in steps]
            if mutated == steps:
                continue
            found = run(mutated)
            if isinstance(found, str):
                outcome = found
            else:
                outcome = "survived" if found == right else "refused" if found[0] != right[0] else "killed"
            self.score.outcomes[wrong] = outcome

    def _left_of_build(self, model: str, way: str) -> list[Wrong]:
        """Find the model's own mutants that no build told: a merge uses the same text, on other rows."""
        return [
            wrong
            for wrong, outcome in self.score.outcomes.items()
            if outcome == "survived" and wrong.model == model and wrong.way != way and wrong.mutant.part
        ]

    def _mutants(self, model: str, way: str, steps: list[str]) -> Iterable[Wrong]:
        if (model, way) in self._texts:
            assert self._texts[model, way] == steps
            return [wrong for wrong in self.score.outcomes if (wrong.model, wrong.way) == (model, way)]
        self._texts[model, way] = steps
        # What a merge takes from the model, word for word, is mutated there.
        builds = [self._texts.get((name, "build"), []) for name in (model, STAGED)] if way == "merge" else []
        share, made = self._share**0.5, []
        for text in steps:
            if not CREATED.search(text):
                continue
            self._taken += share
            if self._taken >= 1:
                self._taken -= 1
                known = [part for step in chain.from_iterable(builds) for part in parts_of(step)]
                mutants = [mutant for mutant in mutants_of(text, known) if self._chance.random() < share]
                made += [Wrong(model, way, text, mutant) for mutant in mutants]
        return made


def _run(
    connection: psycopg.Connection[Any], steps: list[str], model: str, relation: str
) -> tuple[list[int], bytes] | str:
    """Run a model's statements, read the types and the values of what they make, and take them back."""
    try:
        return _run_and_read(connection, steps, model, relation)
    except psycopg.errors.IntegrityError:
        return "refused"
    except psycopg.errors.QueryCanceled:
        return "killed"
    except psycopg.Error:
        return "invalid"
    finally:
        connection.rollback()


def _run_and_read(
    connection: psycopg.Connection[Any], steps: list[str], model: str, relation: str
) -> tuple[list[int], bytes]:
    types: list[int] = []
    for step in steps:
        # dbt compares the types with the contract before it makes the table.
        if query := CONTRACT.search(step):
            columns = connection.execute(f"select * from ({query[1] or query[2]}) as q limit 0").description  # noqa: S608
            types += [column.type_code for column in columns or []]
        connection.execute(step)  # type: ignore[call-overload]
    keys = ", ".join(KEYS[model])
    queries = [f"table {relation} order by {keys}"]
    if any("_gone" in step for step in steps):
        # Publishing writes the rows that change, and then takes those away that go.
        queries.append(f"select * from {relation} where ({keys}) not in (table {relation}_gone) order by {keys}")  # noqa: S608
    return types, b"".join(_read(connection, query) for query in queries)


def _read(connection: psycopg.Connection[Any], query: str) -> bytes:
    with connection.cursor().copy(f"copy ({query}) to stdout") as copy:
        return b"".join(map(bytes, copy))
