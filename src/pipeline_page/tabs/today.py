"""Ledger and fact → *Today*: the last load's way from file to fact, its control totals, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from customer_pipeline.feed import DAYS
from customer_pipeline.usual import compare_with_usual
from pipeline_page.missed import find_missed_runs
from pipeline_page.runs import Run
from pipeline_page.tabs.loads import (
    Load,
    Totals,
    add_reasons,
    add_totals,
    find_load,
    find_loads,
    find_loads_of_run,
    find_visible_load,
)
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published, source_of

RECENT = 200
NAMES = ("rows", "quantity", "gross", "tax")
_FACT = """
    select
        coalesce(sum(number_of_rows), 0)::bigint as rows,
        coalesce(sum(units_sold), 0)::numeric as quantity,
        coalesce(sum(gross_amount), 0) as gross,
        coalesce(sum(tax_amount), 0) as tax
    from {days}
"""


@dataclass(frozen=True)
class Checked:
    """Totals at one place of the way, and whether they are those of the ledger.

    Attributes:
        name: The place.
        totals: What it holds.
        off: By how much each total differs from the ledger's: None where there is nothing to compare.
    """

    name: str
    totals: Totals
    off: Totals | None

    @property
    def agrees(self) -> dict[str, bool] | None:
        """Whether each total is the ledger's."""
        return {name: not self.off[name] for name in NAMES} if self.off else None


@dataclass(frozen=True)
class Today:
    """What the page says first.

    Attributes:
        run: The newest run of the DAG, if Airflow could be asked.
        loads: The files of the newest run that came as far as the ledger.
        visible: The load that readers see; None before the first.
        previous: The load that readers saw before it.
        marts: Which marts readers see.
        fact: What the published fact holds: of the load that `marts` names.
        checks: Control totals from place to place.
        reasons: Why records of `loads` were refused.
        missed: Scheduled runs that brought no load.
        asked_at: When this was read.
        taken_back: Loads that readers saw, of later ones than `visible`, the newest first.
        unusual: What of `loads` is outside the usual, in sentences.
    """

    run: Run | None
    loads: list[Load]
    visible: Load | None
    previous: Load | None
    marts: PublishedMarts | None
    fact: Totals | None
    checks: list[Checked]
    reasons: list[tuple[str, int]]
    missed: list[datetime]
    asked_at: datetime
    taken_back: list[Load] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The run that brought the loads."""
        return self.loads[0].run_id

    def count(self, name: str) -> int:
        """Add up a count of the ledger over the files of the run."""
        return sum(getattr(load, name) or 0 for load in self.loads)

    @property
    def is_accounted_for(self) -> bool:
        """Whether every record that was read is accepted, quarantined or a duplicate."""
        return self.count("read") == sum(map(self.count, ("accepted", "quarantined", "duplicates")))

    @property
    def marts_are_behind(self) -> bool:
        """Whether readers see marts of another load than the one that they see of the cleaned table."""
        return bool(self.marts and self.visible and self.marts.load_id != self.visible.load_id)

    @property
    def is_visible(self) -> bool:
        """Whether readers see what the run brought."""
        return self.visible is not None and self.visible.run_id == self.run_id

    @property
    def not_loaded(self) -> list[Load]:
        """The files of the run that were refused, or whose load failed."""
        return [load for load in self.loads if load.failure]

    @property
    def outcome(self) -> str:
        """What came of the loads: published, loading, ended (before it published), or a status of the ledger.

        Until another run begins, the ledger says `loading` of one that died, too; Airflow knows whether it goes on.
        """
        statuses = {load.status for load in self.loads}
        if self.is_visible:
            return "published"
        if "loading" in statuses:
            goes_on = self.run is None or (
                self.run.run_id == self.run_id and self.run.state in {"running", "queued"}
            )
            return "loading" if goes_on else "ended"
        return next((each for each in ("refused", "failed", "rolled_back") if each in statuses), "unchanged")

    @property
    def ties_out(self) -> bool | None:
        """Whether every total agrees; None if there is nothing to compare yet."""
        compared = [agrees for check in self.checks if check.agrees for agrees in check.agrees.values()]
        return all(compared) and self.is_accounted_for if compared else None

    @property
    def changed(self) -> Totals | None:
        """What readers see, less what they saw before."""
        now, before = (load.visible_totals if load else None for load in (self.visible, self.previous))
        return now.minus(before) if now and before else None


def find_today(connection: Connection, kept: Kept, run: Run | None) -> Today:
    """Read everything of *Today*.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        run: The newest run of the DAG, if known.

    Returns:
        It.
    """
    recent = find_loads(connection, RECENT)
    newest = find_loads_of_run(connection, recent[0].run_id) if recent else []
    visible = find_load(connection, find_visible_load(connection))
    is_visible = visible and newest and newest[0].run_id == visible.run_id
    beside = newest if visible is None or is_visible else find_loads_of_run(connection, visible.run_id)
    later = [load for load in recent if visible is None or load.load_id > visible.load_id]
    marts = find_published(connection)
    fact = kept.get(marts, "fact", lambda: _find_fact(connection)) if marts else None
    return Today(
        run=run,
        loads=sorted(newest, key=lambda load: load.source_name),
        visible=visible,
        previous=find_load(connection, visible.previous_load) if visible else None,
        marts=marts,
        fact=fact,
        checks=_check(
            visible,
            [load for load in beside if load.status == "published"],
            fact if marts and visible and marts.load_id == visible.load_id else None,
        ),
        reasons=add_reasons(newest),
        missed=find_missed_runs(connection, run.schedule) if run and recent else [],
        asked_at=ask(connection, "select now() as now")[0]["now"],
        taken_back=[load for load in later if load.status == "rolled_back"],
        unusual=[
            sentence
            for one in compare_with_usual(connection, [load.load_id for load in newest])
            for sentence in one.unusual
        ],
    )


def _find_fact(connection: Connection) -> Totals:
    return Totals(**ask(connection, _FACT.format(days=source_of(connection, DAYS)))[0])


def _check(visible: Load | None, files: list[Load], fact: Totals | None) -> list[Checked]:
    if visible is None or visible.visible_totals is None:
        return []
    ledger = visible.visible_totals
    checks = []
    if files:
        name = "Cleaned file" if len(files) == 1 else f"{len(files)} cleaned files"
        totals = add_totals(files)
        # What several files have in common counts once, and a merge adds to what was there.
        alone = len(files) == 1 and visible.mode == "replace"
        checks.append(Checked(name, totals, totals.minus(ledger) if alone else None))
    checks.append(Checked("Ledger", ledger, None))
    if fact:
        checks.append(Checked("Fact", fact, fact.minus(ledger)))
    return checks
