"""Task group DBT-Transformations: the published load → staging, dimensions, fact, aggregate, each tested."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestIndirectSelection

from steps.dbt_manifest import fresh_manifest
from steps.retry_policy import DbtRetryPolicy

log = logging.getLogger(__name__)

PROJECT = Path(os.environ.get("PIPELINE_DBT") or Path(__file__).resolve().parents[3] / "dbt")


def dbt_transformations_pipeline(parent_group: str) -> DbtTaskGroup:
    """Define one pair of tasks, run and test, for each model of the dbt project.

    Args:
        parent_group: Id of the task group, for the log.

    Returns:
        The task group `dbt_models`.
    """
    log.debug("[%s] Rendering %s", parent_group, PROJECT)
    return DbtTaskGroup(
        group_id="dbt_models",
        project_config=ProjectConfig(
            dbt_project_path=PROJECT,
            manifest_path=fresh_manifest(PROJECT),
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name="ebury",
            target_name="dev",
            profiles_yml_filepath=PROJECT / "profiles.yml",
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.DBT_RUNNER,
            # A test of several models runs once, when all of them are built.
            test_indirect_selection=TestIndirectSelection.BUILDABLE,
        ),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST),
        operator_args={"retry_policy": DbtRetryPolicy()},
    )
