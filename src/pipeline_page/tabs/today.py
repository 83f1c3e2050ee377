"""Ledger and fact → *Today*: the last load's way from file to fact, its control totals, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline_page.missed import find_missed_runs
from pipeline_page.runs import Run
from pipeline_page.tabs.loads import (
    Load,
    Totals,
    add_reasons,
    add_totals,
    find_load,
    find_loads,
    find_visible_load,
)
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published

RECENT = 200
_FACT = """
    select
        count(*) as rows,
        coalesce(sum(units_sold), 0)::numeric as quantity,
        coalesce(sum(gross_amount), 0) as gross,
        coalesce(sum(tax_amount), 0) as tax
    from analytics.fact_transactions
"""


@dataclass(frozen=True)
class Checked:
    """Totals at one place of the way, and whether they are those of the ledger.

    Attributes:
        name: The place.
        totals: What it holds.
        agrees: By column: None where there is nothing to compare.
    """

    name: str
    totals: Totals
    agrees: dict[str, bool] | None


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
    def outcome(self) -> str:
        """What came of the loads: published, loading, ended (before it published), rolled_back, or unchanged.

        The ledger says `loading` of a run that died, too; only Airflow knows whether it goes on.
        """
        statuses = {load.status for load in self.loads}
        if self.visible and self.visible.run_id == self.run_id:
            return "published"
        if "loading" in statuses:
            goes_on = self.run is None or (
                self.run.run_id == self.run_id and self.run.state in {"running", "queued"}
            )
            return "loading" if goes_on else "ended"
        return "rolled_back" if "rolled_back" in statuses else "unchanged"

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
    newest = [load for load in recent if load.run_id == recent[0].run_id] if recent else []
    visible = find_load(connection, find_visible_load(connection))
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
            connection, visible, fact if marts and visible and marts.load_id == visible.load_id else None
        ),
        reasons=add_reasons(newest),
        missed=find_missed_runs(connection, run.schedule) if run and recent else [],
        asked_at=ask(connection, "select now() as now")[0]["now"],
    )


def _find_fact(connection: Connection) -> Totals:
    return Totals(**ask(connection, _FACT)[0])


def _check(connection: Connection, visible: Load | None, fact: Totals | None) -> list[Checked]:
    if visible is None or visible.visible_totals is None:
        return []
    ledger = visible.visible_totals
    checks = []
    files = _files_of(connection, visible)
    if files:
        name = "Cleaned file" if len(files) == 1 else f"{len(files)} cleaned files"
        totals = add_totals(files)
        # What several files have in common counts once, and a merge adds to what was there.
        alone = len(files) == 1 and visible.mode == "replace"
        checks.append(Checked(name, totals, _compare(totals, ledger) if alone else None))
    checks.append(Checked("Ledger", ledger, None))
    if fact:
        checks.append(Checked("Fact", fact, _compare(fact, ledger)))
    return checks


def _files_of(connection: Connection, visible: Load) -> list[Load]:
    same = [load for load in find_loads(connection, RECENT) if load.run_id == visible.run_id]
    return [load for load in same if load.status == "published"]


def _compare(totals: Totals, ledger: Totals) -> dict[str, bool]:
    return {name: getattr(totals, name) == getattr(ledger, name) for name in ("rows", "quantity", "gross", "tax")}
