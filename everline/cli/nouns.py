"""The table of nouns: for each, `list`, `show` and `history` are made from its row, and nothing else is needed.

`table` is the path of the HTTP API; `columns` are what `list` shows unless `--columns` says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple


class Noun(NamedTuple):
    """One kind of entity as the command line knows it."""

    name: str
    table: str
    columns: tuple[str, ...]
    help: str

    @property
    def kind(self) -> str:
        """The kind as the ledger spells it."""
        return self.name.replace("-", "_")

    @property
    def words(self) -> str:
        """The name as prose has it."""
        return self.name.replace("-", " ")

    @property
    def plural(self) -> str:
        """The name of several, as prose has it."""
        return self.table.replace("-", " ")


NOUNS = (
    Noun(
        "stack", "stacks", ("name", "components", "updated_at"), "Where runs execute and store: one component per type."
    ),
    Noun(
        "component",
        "components",
        ("name", "component_type", "flavor", "configuration", "updated_at"),
        "Configured pieces of infrastructure that stacks combine.",
    ),
    Noun(
        "pipeline",
        "pipelines",
        ("name", "run_count", "latest_run_status", "updated_at"),
        "Pipelines; `pipeline run` executes one from a file.",
    ),
    Noun("snapshot", "snapshots", ("id", "pipeline", "step_count", "created_at"), "Immutable compiled pipelines."),
    Noun(
        "run",
        "runs",
        ("name", "pipeline", "status", "stack", "started_at", "duration_seconds"),
        "Executions of a pipeline: steps, logs, comparison.",
    ),
    Noun(
        "step",
        "steps",
        ("name", "run", "status", "attempt", "started_at", "duration_seconds"),
        "Steps of runs, with their attempts.",
    ),
    Noun(
        "artifact",
        "artifacts",
        ("name", "version_count", "latest_version_number", "updated_at"),
        "Named data that steps produce; versions and lineage.",
    ),
    Noun(
        "artifact-version",
        "artifact-versions",
        ("name", "artifact_type", "data_type", "size_bytes", "created_at"),
        "Stored values: where they lie and what produced them.",
    ),
    Noun(
        "model",
        "models",
        ("name", "version_count", "production_version_number", "updated_at"),
        "Models, their versions and who is in production.",
    ),
    Noun(
        "model-version",
        "model-versions",
        ("name", "stage", "description", "created_at"),
        "Versions of models and the stages they hold.",
    ),
    Noun("tag", "tags", ("name", "color", "updated_at"), "Coloured words on other entities."),
    Noun(
        "workspace", "workspaces", ("name", "description", "created_at"), "Isolated ledgers, each with its own history."
    ),
)

_BY_NAME = {noun.name: noun for noun in NOUNS}
_BY_TABLE = {noun.table: noun for noun in NOUNS}


def noun(name: str) -> Noun:
    """The row of the table with this name."""
    return _BY_NAME[name]


def noun_of_table(table: str) -> Noun | None:
    """The noun whose entities a child list such as `model_versions` holds, if it is one."""
    return _BY_TABLE.get(table.replace("_", "-"))


def noun_of_kind(kind: str) -> Noun | None:
    """The noun of a kind such as `model_version`, if it is one."""
    return _BY_NAME.get(kind.replace("_", "-"))
