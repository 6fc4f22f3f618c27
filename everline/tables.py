"""The tables of the HTTP API, made by `make api` from the projections' declarations: do not edit.

`columns` are what the command line lists; a table without a `summary` has no noun of its own there.
"""

from __future__ import annotations

from typing import NamedTuple


class KnownTable(NamedTuple):
    """One table: its kind, its path in the HTTP API, and whether it lies in the control ledger."""

    kind: str
    path: str
    control: bool = False
    columns: tuple[str, ...] = ()
    summary: str = ""


TABLES = (
    KnownTable(
        "archive",
        "archives",
        control=True,
        columns=("id", "of_workspace_id", "first_position", "last_position", "url", "status", "created_at"),
        summary="Old positions in an object store: made, listed, restored.",
    ),
    KnownTable(
        "artifact_version",
        "artifact-versions",
        control=False,
        columns=("name", "artifact_type", "data_type", "size_bytes", "created_at"),
        summary="Stored values: where they lie and what produced them.",
    ),
    KnownTable(
        "artifact",
        "artifacts",
        control=False,
        columns=("name", "version_count", "latest_version_number", "updated_at"),
        summary="Named data that steps produce; versions and lineage.",
    ),
    KnownTable(
        "code_repository",
        "code-repositories",
        control=False,
        columns=("name", "provider", "url", "updated_at"),
        summary="Where the source of pipelines is kept.",
    ),
    KnownTable(
        "component",
        "components",
        control=False,
        columns=("name", "component_type", "flavor", "configuration", "updated_at"),
        summary="Configured pieces of infrastructure that stacks combine.",
    ),
    KnownTable("metadata", "metadata", control=False, columns=(), summary=""),
    KnownTable("metric_point", "metric-points", control=False, columns=(), summary=""),
    KnownTable(
        "model_version",
        "model-versions",
        control=False,
        columns=("name", "stage", "description", "created_at"),
        summary="Versions of models and the stages they hold.",
    ),
    KnownTable(
        "model",
        "models",
        control=False,
        columns=("name", "version_count", "production_version_number", "updated_at"),
        summary="Models, their versions and who is in production.",
    ),
    KnownTable(
        "person",
        "persons",
        control=True,
        columns=("handle", "name", "email", "status", "holds", "updated_at"),
        summary="People: who may be held, and who was erased.",
    ),
    KnownTable(
        "pipeline",
        "pipelines",
        control=False,
        columns=("name", "run_count", "latest_run_status", "updated_at"),
        summary="Pipelines; `pipeline run` executes one from a file.",
    ),
    KnownTable("restoration", "restorations", control=False, columns=(), summary=""),
    KnownTable("rollback", "rollbacks", control=False, columns=(), summary=""),
    KnownTable(
        "run",
        "runs",
        control=False,
        columns=("name", "pipeline", "status", "stack", "started_at", "duration_seconds"),
        summary="Executions of a pipeline: steps, logs, comparison.",
    ),
    KnownTable(
        "snapshot",
        "snapshots",
        control=False,
        columns=("id", "pipeline", "step_count", "created_at"),
        summary="Immutable compiled pipelines.",
    ),
    KnownTable(
        "stack",
        "stacks",
        control=False,
        columns=("name", "components", "updated_at"),
        summary="Where runs execute and store: one component per type.",
    ),
    KnownTable(
        "step",
        "steps",
        control=False,
        columns=("name", "run", "status", "attempt", "started_at", "duration_seconds"),
        summary="Steps of runs, with their attempts.",
    ),
    KnownTable("tagging", "taggings", control=False, columns=(), summary=""),
    KnownTable(
        "tag",
        "tags",
        control=False,
        columns=("name", "color", "updated_at"),
        summary="Coloured words on other entities.",
    ),
    KnownTable(
        "workspace",
        "workspaces",
        control=True,
        columns=("name", "placed_on", "pool_schema", "description", "created_at"),
        summary="Isolated ledgers, each with its own history.",
    ),
)
