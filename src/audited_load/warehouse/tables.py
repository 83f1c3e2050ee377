"""The warehouse's tables and views for one feed, by name.

```
<schema>.<feed>_generations   partitioned by generation: one partition per published load
<schema>.<feed>_incoming      the table that a load fills; becomes a partition when it is published
<schema>.<feed>               view of the generation that <schema>.published points to: what readers see
<schema>.<feed>_changes       rows that the last merge touched, as they were (sign -1) and as they are (sign 1)
<schema>.<feed>_changed       view of them, while they lead from one load to the one that readers see
<schema>.<feed>_rejected_by_load   what each load refused
<schema>.<feed>_rejected_replays   which records a repaired file closes when it is published
<schema>.<feed>_rejected      view, the quarantine: one row per distinct record, when it was seen, what became of it
<schema>.quarantine_counts    view: how many of them by status and reason, and no raw text
<schema>.loads                ledger: one row per load, which is one file of one run
<schema>.published_load       view: the ledger's row of the load that readers see
<schema>.copied_pieces        which pieces of a load's cleaned files are in the incoming table
<schema>.erasures, <schema>.scrubbed_files   who was erased, and from which files
<schema>.migrations           which of the files in `migrations/`, and of the feed's own, made all this
```

A view over a pointer, and not a rename, because readers must never wait for DDL: moving the pointer is one
row updated (docs/adr/0002).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from audited_load.columns import Feed
from audited_load.warehouse.migrate import Migrations

PROVENANCE = ("loaded_at", "load_id", "source_record")
CONFIRMED_BY = "confirmed_by"
"""The load that delivered a row last, with the same values or others: it decides whether a late one is too late."""


@dataclass(frozen=True)
class Tables:
    """Names of a feed's tables, ready to be put into SQL.

    Attributes:
        feed: The columns.
        schema: Name of the schema.
        folder: Of the feed's own migrations, such as a column more; None if it has none.
        further: Columns that the tables have beside the feed's: those of other contracts.
    """

    feed: Feed
    schema: str
    folder: Path | None = None
    further: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns of a record in the tables."""
        return [*self.feed.names, *self.further]

    @property
    def migrations(self) -> tuple[Migrations, ...]:
        """The migrations of the tables: the engine's, then the feed's."""
        engine = Migrations("engine", self.schema, Path(__file__).with_name("migrations") / "cleaned")
        return (engine, Migrations("feed", self.schema, self.folder)) if self.folder else (engine,)

    @property
    def total_columns(self) -> list[str]:
        """Names of the ledger's columns for the control totals: of a file, and of what readers see then."""
        return [f"{of}_{total.name}" for of in ("total", "visible") for total in self.feed.totals]

    def named(self, suffix: str = "") -> sql.Identifier:
        """Name the feed's table with a suffix, such as `_incoming`."""
        return sql.Identifier(self.schema, f"{self.feed.name}{suffix}")

    def relation(self, suffix: str = "") -> str:
        """Name the feed's table with a suffix, quoted, for a cast to `regclass`."""
        return f'"{self.schema}"."{self.feed.name}{suffix}"'

    def other(self, name: str) -> sql.Identifier:
        """Name another table of the schema, such as `loads`."""
        return sql.Identifier(self.schema, name)

    def sums(self, row: str = "") -> sql.Composed:
        """Compose the control totals over rows of the feed, as one column each; `row` is an alias of theirs."""
        before = sql.SQL("({}).").format(sql.Identifier(row)) if row else sql.SQL("")
        totals = []
        for total in self.feed.totals:
            factors = [sql.SQL("{}{}::numeric").format(before, sql.Identifier(name)) for name in total.factors]
            totals.append(sql.SQL("coalesce(sum({}), 0)").format(sql.SQL(" * ").join(factors)))
        return sql.SQL(", ").join(totals)

    def columns(self, row: str) -> sql.Composed:
        """Compose a record's columns of rows, by an alias of theirs, as a list."""
        names = [sql.SQL("({}).{}").format(sql.Identifier(row), sql.Identifier(name)) for name in self.names]
        return sql.SQL(", ").join(names)

    def fill(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """Compose a statement; `{view}`, `{generations}`, `{incoming}`, … stand for the names."""
        return sql.SQL(statement).format(
            schema=sql.Identifier(self.schema),
            view=self.named(),
            generations=self.named("_generations"),
            incoming=self.named("_incoming"),
            rejects=self.named("_rejected_by_load"),
            quarantine=self.named("_rejected"),
            closed=self.named("_rejected_closed"),
            replays=self.named("_rejected_replays"),
            quarantine_counts=self.other("quarantine_counts"),
            erasures=self.other("erasures"),
            scrubbed_files=self.other("scrubbed_files"),
            quarantine_name=sql.Literal(f"{self.schema}.{self.feed.name}_rejected"),
            changes=self.named("_changes"),
            changed=self.named("_changed"),
            replaced=self.named("_replaced"),
            loads=self.other("loads"),
            copied_pieces=self.other("copied_pieces"),
            published=self.other("published"),
            published_load=self.other("published_load"),
            lease=self.other("lease"),
            generation_numbers=self.other("generation_numbers"),
            view_name=sql.Literal(f"{self.schema}.{self.feed.name}"),
            published_load_name=sql.Literal(f"{self.schema}.published_load"),
            key=sql.Identifier(self.feed.key),
            **parts,
        )
