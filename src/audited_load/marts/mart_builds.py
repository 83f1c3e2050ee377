"""The table of builds: of which load and models each mart in staging is, when it was built, and if it was tested.

dbt makes the table and writes a row when it has built a mart, and when it has tested it (`dbt/macros/builds.sql`).
A row counts only for the relation that it was written for: whatever took that one's place has no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_tables import Marts

_IS_THERE = "select to_regclass(%s) is not null"
_BUILDS = """
    select c.relname, c.relkind::text, b.mart is not null,
        b.load_id, b.code, b.changes_set, b.is_tested, b.failed_tests, b.begun_at, b.built_at
    from pg_class as c left join {builds} as b on c.relname = b.mart and c.oid = b.relation
    where c.relnamespace = {staging_name}::regnamespace and c.relname = any({names})
"""
_NO_BUILDS = """
    select c.relname, c.relkind::text, false, null, null, null, null, null, null, null
    from pg_class as c where c.relnamespace = {staging_name}::regnamespace and c.relname = any({names})
"""
_BUILD_ALL = (
    "Nothing was published. Build all of them: clear the task group of the models, or"
    " `make dbt-run` and `make dbt-test`, and then this task."
)


@dataclass(frozen=True)
class Build:
    """What stands in staging under the name of a mart.

    Attributes:
        kind: What kind of relation, as in `pg_class.relkind`.
        is_known: Whether the table of builds has a row for it; if not, the rest is None.
        load_id: The load that it was built from; None, too, if there was none.
        code: Tells the models that built it from others.
        changes_set: The published set that it is changes to; None if it stands for itself.
        is_tested: Whether all of its data tests have passed since, and no test has failed.
        failed_tests: Those that have failed since.
        begun_at: When it began to be built.
        built_at: When it was built.
    """

    kind: str
    is_known: bool
    load_id: int | None
    code: str | None
    changes_set: int | None
    is_tested: bool | None
    failed_tests: list[str] | None
    begun_at: datetime | None
    built_at: datetime | None


@dataclass(frozen=True)
class Staged:
    """What dbt left, of one load, by the same models, and tested.

    Attributes:
        load_id: The load that all marts were built from.
        kinds: What kind of relation each is, as in `pg_class.relkind`.
        code: Tells the models that built them from others.
        changes_set: The published set that they are changes to; None if they stand for themselves.
    """

    load_id: int
    kinds: dict[str, str]
    code: str | None
    changes_set: int | None


def find_builds(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> dict[str, Build]:
    """Find what stands in staging under the names of marts, by name."""
    is_there = connection.execute(_IS_THERE, (f"{marts.sets}.builds",)).fetchone() == (True,)
    parts = {"names": sql.Literal([mart.name for mart in models]), "builds": sql.Identifier(marts.sets, "builds")}
    rows = connection.execute(marts.fill(_BUILDS if is_there else _NO_BUILDS, **parts)).fetchall()
    return {name: Build(*values) for name, *values in rows}


def find_loaded(connection: psycopg.Connection, marts: Marts) -> int | None:
    """Find out which load readers of the cleaned table see now, if any."""
    statement = sql.SQL("select load_id from {}").format(sql.Identifier(*marts.source.split(".")))
    row = connection.execute(statement).fetchone()
    return row[0] if row else None


def require_one_build(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> Staged:
    """Check that all marts are of the published load and of the same models, built in their order, and tested.

    Args:
        connection: As a role that may read the load's ledger.
        marts: Where.
        models: Which.

    Returns:
        What they are.

    Raises:
        RefusedError: They aren't; the error names those that differ.
    """
    loaded, builds = find_loaded(connection, marts), find_builds(connection, marts, models)
    _require_load(loaded, builds, models)
    _require_same_code(builds)
    _require_order(builds, models)
    _require_tests(builds, models)
    some = next(iter(builds.values()))
    return Staged(
        int(loaded or 0), {name: build.kind for name, build in builds.items()}, some.code, some.changes_set
    )


def _require_load(loaded: int | None, builds: dict[str, Build], models: Sequence[Mart]) -> None:
    wrong = []
    for name in (mart.name for mart in models):
        build = builds.get(name)
        if build is None:
            wrong.append(f"{name}: absent")
        elif not build.is_known:
            wrong.append(f"{name}: no record of its build")
        elif loaded is None or build.load_id != loaded:
            wrong.append(f"{name}: of {_named(build.load_id)}")
    if len({build.changes_set for build in builds.values() if build.is_known}) > 1:
        wrong.append("some are changes to a set, and some are not")
    if loaded is None or wrong:
        raise RefusedError(
            f"Readers of the cleaned table see {_named(loaded)},"
            f" but not all marts were built from it. {'; '.join(wrong)}.",
            _BUILD_ALL,
        )


def _require_same_code(builds: dict[str, Build]) -> None:
    newest = max(builds.values(), key=lambda build: build.built_at or datetime.min)  # noqa: DTZ901 - never compared
    others = [name for name, build in builds.items() if build.code != newest.code]
    if others:
        raise RefusedError(
            f"The models have changed since these marts were built: {', '.join(sorted(others))}.", _BUILD_ALL
        )


def _require_order(builds: dict[str, Build], models: Sequence[Mart]) -> None:
    older = [
        f"{mart.name} is older than {parent}"
        for mart in models
        for parent in sorted(mart.parents)
        if _is_older(builds[mart.name], builds[parent])
    ]
    if older:
        raise RefusedError(f"Marts are older than what they are built from: {'; '.join(older)}.", _BUILD_ALL)


def _is_older(build: Build, parent: Build) -> bool:
    return bool(build.begun_at and parent.built_at and build.begun_at < parent.built_at)


def _require_tests(builds: dict[str, Build], models: Sequence[Mart]) -> None:
    untested = [
        f"{mart.name} (failed: {', '.join(failed)})" if (failed := builds[mart.name].failed_tests) else mart.name
        for mart in models
        if not builds[mart.name].is_tested
    ]
    if untested:
        raise RefusedError(
            f"Not all tests have passed since these marts were built: {', '.join(untested)}.",
            "Nothing was published. Test them: clear the tests' tasks, or `make dbt-test`; then clear this task.",
        )


def _named(load_id: int | None) -> str:
    return "no load" if load_id is None else f"load {load_id}"
