"""Task group DBT-Transformations: the published load → staging, dimensions, fact, aggregate, each tested.

What was built becomes visible to readers at the end, all marts at once; then their history is kept.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from airflow.sdk import get_current_context, task
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestIndirectSelection
from cosmos.operators.local import DbtSnapshotLocalOperator

from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.readers import end_old_readers
from customer_pipeline.feed import MARTS, READER_TRANSACTION_SECONDS
from customer_pipeline.names import DATABASE, MODELS_GROUP
from customer_pipeline.own_target import leave_own_target
from customer_pipeline.settings import dbt_project, transformer_dsn
from customer_pipeline.tasks.alerts import alert_of_failure
from customer_pipeline.tasks.assets import published_assets, report_lineage
from customer_pipeline.tasks.dbt_manifest import TARGET, find_marts, fresh_manifest
from customer_pipeline.tasks.ledger_notes import note_failure
from customer_pipeline.tasks.metrics import send_gauges
from customer_pipeline.tasks.retry_policy import DbtRetryPolicy
from customer_pipeline.tasks.task_errors import reported_errors
from customer_pipeline.tasks.task_warehouse import hold_lease, let_lease_go

log = logging.getLogger(__name__)


def dbt_transformations_pipeline(parent_group: str) -> Any:
    """Define one pair of tasks, run and test, for each model, one that publishes, and one that keeps the history.

    Args:
        parent_group: Id of the task group, for the log.

    Returns:
        The last task.
    """
    leave_own_target()
    project = dbt_project()
    profile = ProfileConfig(
        profile_name=DATABASE, target_name=TARGET, profiles_yml_filepath=project / "profiles.yml"
    )

    models = find_marts()
    # Followers wait for these assets: Cosmos' own stand for tables that nobody sees yet.
    assets = published_assets(models)

    @task(task_id="publish_marts", outlets=list(assets))
    def publish() -> dict[str, Any]:
        """Let readers see the marts, now that every test has passed."""
        context = get_current_context()
        hold_lease(context)
        with reported_errors(parent_group), connect(transformer_dsn()) as connection:
            end_old_readers(connection, READER_TRANSACTION_SECONDS)
            published = publish_marts(connection, MARTS, models)
        word = "Published" if published.changed else "Unchanged:"
        log.info("[%s] %s set %s, of load %s", parent_group, word, published.set_number, published.load_id)
        send_gauges({"marts_published_timestamp": time.time()})
        built = [f"{MARTS.staging}.{mart.name}" for mart in models]
        report_lineage(context, built, [asset.name for asset in assets])
        for asset in assets:
            context["outlet_events"][asset].extra = {"load_id": published.load_id, "changed": published.changed}
        return {"set_number": published.set_number, "load_id": published.load_id, "changed": published.changed}

    dbt_models = DbtTaskGroup(
        group_id=MODELS_GROUP,
        project_config=ProjectConfig(
            dbt_project_path=project,
            manifest_path=fresh_manifest(project),
            install_dbt_deps=False,
        ),
        profile_config=profile,
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.DBT_RUNNER,
            # A test of several models runs once, when all of them are built.
            test_indirect_selection=TestIndirectSelection.BUILDABLE,
        ),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, exclude=["resource_type:snapshot"]),
        operator_args={
            "retry_policy": DbtRetryPolicy(),
            "full_refresh": "{{ params.full_refresh }}",
            "pre_execute": hold_lease,
            # Not the lease: another model of the run may still be built. It ends with the last of them.
            "on_failure_callback": [note_failure, alert_of_failure],
        },
    )
    # One task for all histories, after the publication: they hold what readers saw, never what failed a test.
    history = DbtSnapshotLocalOperator(
        task_id="record_history",
        project_dir=project,
        profile_config=profile,
        install_deps=False,
        invocation_mode=InvocationMode.DBT_RUNNER,
        retry_policy=DbtRetryPolicy(),
        pre_execute=hold_lease,
        post_execute=let_lease_go,
    )
    dbt_models >> publish() >> history
    return history
