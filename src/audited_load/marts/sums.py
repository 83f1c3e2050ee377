"""A mart's rows, added up by some of its columns: a declaration → its statement and the names of its columns.

What is asked for at every look and costs a reading of the whole mart is published beside the marts (docs/adr/0044).
Which sums there are, the feed says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from audited_load.marts.mart_manifest import Mart

NUMBER = "number_of_rows"


@dataclass(frozen=True)
class Joined:
    """A second mart, of which each row of the first one has a row.

    Attributes:
        mart: Its name.
        on: The column, of the same name in both, by which rows belong together.
        keys: Columns of it by which rows are added up, too. Never null.
    """

    mart: str
    on: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Sums:
    """Sums of a mart's columns, and how many rows know each.

    Attributes:
        name: Of the table, and of the view for readers.
        description: What it is, for whoever finds the view.
        mart: Whose rows are added up.
        keys: Its columns by which they are. Never null.
        measures: Its columns that are added up: numbers, or null where unknown.
        joined: Where more keys come from.
    """

    name: str
    description: str
    mart: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    joined: Joined | None = None

    @property
    def all_keys(self) -> tuple[str, ...]:
        """The columns that tell its rows apart."""
        return self.keys + (self.joined.keys if self.joined else ())

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in order: keys, number of rows, and for each measure its sum and how many rows know it."""
        pairs = [name for measure in self.measures for name in (measure, known(measure))]
        return (*self.all_keys, NUMBER, *pairs)

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """Columns that it reads, by mart."""
        of_joined = {self.joined.mart: (self.joined.on, *self.joined.keys)} if self.joined else {}
        return {self.mart: (*self.keys, *self.measures)} | of_joined

    def statement(self, table_of: Callable[[str], sql.Composable]) -> sql.Composed:
        """Write the statement that adds up all rows.

        Args:
            table_of: Gives the relation of a mart.
        """
        keys = [sql.Identifier("r", key) for key in self.keys]
        source = sql.SQL("{} as r").format(table_of(self.mart))
        if self.joined:
            keys += [sql.Identifier("j", key) for key in self.joined.keys]
            source = sql.SQL("{source} inner join {other} as j on r.{on} = j.{on}").format(
                source=source, other=table_of(self.joined.mart), on=sql.Identifier(self.joined.on)
            )
        sums = [
            sql.SQL("sum(r.{0}) as {0}, count(r.{0}) as {1}").format(
                sql.Identifier(measure), sql.Identifier(known(measure))
            )
            for measure in self.measures
        ]
        return sql.SQL("select {keys}, {sums} from {source} group by {keys}").format(
            keys=sql.SQL(", ").join(keys),
            sums=sql.SQL(", ").join([sql.SQL(f"count(*) as {NUMBER}"), *sums]),
            source=source,
        )

    def as_mart(self) -> Mart:
        """Say what is said of it to readers, as of a mart."""
        said = dict.fromkeys(self.keys, f"As in {self.mart}.")
        if self.joined:
            said |= dict.fromkeys(self.joined.keys, f"As in {self.joined.mart}.")
        said[NUMBER] = f"Rows of {self.mart}."
        for measure in self.measures:
            said[measure] = f"Sum of {measure} over those rows that know it; null if none does."
            said[known(measure)] = f"Rows that know {measure}."
        return Mart(self.name, primary_key=self.all_keys, description=self.description, columns=said)


def known(measure: str) -> str:
    """Name the column that says how many rows know a measure."""
    return f"known_{measure}"
