"""The register of erased customers → whom cleaning leaves out: a delivery doesn't bring them back."""

from __future__ import annotations

from audited_load.erasing.register import read_erased
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.errors import RefusedError
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import TABLES
from customer_pipeline.settings import read_settings
from customer_pipeline.tasks.task_warehouse import warehouse_dsn


def read_erased_customers() -> ErasedSubjects | None:
    """Read who was erased.

    Returns:
        Who, for `clean_file`; None if nobody was.

    Raises:
        RefusedError: Customers were erased, but the key that tells which is not set, or another one is.
    """
    with connect(warehouse_dsn()) as connection:
        hashes = read_erased(connection, TABLES)
    if not hashes:
        return None
    key = read_settings().erasure_key
    if not key:
        raise RefusedError(
            f"{len(hashes)} customers were erased, but ERASURE_KEY is not set, so nobody can tell which.",
            "Set it to the key of then: `.runtime/erasure.key` of the installation that erased them.",
        )
    return ErasedSubjects(hashes, key)
