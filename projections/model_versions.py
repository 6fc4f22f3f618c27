"""Model versions with the stage each holds, and what their model shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.model_version import (
    KIND,
    ModelVersionArtifactLinked,
    ModelVersionDeleted,
    ModelVersionDemoted,
    ModelVersionPromoted,
    ModelVersionRegistered,
    ModelVersionRestored,
    ModelVersionUpdated,
)
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1
PRODUCTION = "production"

MODEL_VERSIONS = Table(
    name="model_versions",
    kind=KIND,
    summary="Versions of models and the stages they hold.",
    listed=("name", "stage", "description", "created_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("model_id", "uuid", indexed=True, immutable=True, loads="models", owner="models"),
        Column("model", "text", immutable=True),
        Column("number", "int", immutable=True),
        Column("stage", "text", indexed=True),
        Column("description", "text"),
        Column("artifacts", "json"),
        Column("run_id", "uuid", indexed=True, immutable=True),
    ),
)
TABLES = (MODEL_VERSIONS,)

ModelVersionEvent = (
    ModelVersionRegistered
    | ModelVersionUpdated
    | ModelVersionArtifactLinked
    | ModelVersionPromoted
    | ModelVersionDemoted
    | ModelVersionDeleted
    | ModelVersionRestored
)


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    if isinstance(recorded.event, ModelVersionRegistered):
        yield "models", recorded.event.model_id


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ModelVersionEvent", recorded.event):
        case ModelVersionRegistered():
            _register(rows, id_, event)
        case ModelVersionUpdated():
            rows.update("model_versions", id_, **present(event))
        case ModelVersionArtifactLinked():
            artifacts = rows.get("model_versions", id_)["artifacts"]
            rows.update("model_versions", id_, artifacts={**artifacts, event.role: event.artifact_version_id})
        case ModelVersionPromoted() | ModelVersionDemoted():
            rows.update("model_versions", id_, stage=event.stage)
            _show_production(rows, id_)
        case ModelVersionDeleted():
            rows.delete("model_versions", id_)
            _count(rows, rows.get("model_versions", id_)["model_id"], -1)
            _show_production(rows, id_)
        case ModelVersionRestored():
            rows.restore("model_versions", id_)
            _count(rows, rows.get("model_versions", id_)["model_id"], 1)
            _show_production(rows, id_)
        case _:
            assert_never(event)


def _register(rows: Rows, id_: UUID, event: ModelVersionRegistered) -> None:
    model = rows.get("models", event.model_id)["name"]
    rows.insert(
        "model_versions",
        id_,
        name=f"{model}@{event.number}",
        model_id=event.model_id,
        model=model,
        number=event.number,
        stage="none",
        description=event.description,
        artifacts=event.artifacts,
        run_id=event.run_id,
    )
    rows.update("models", event.model_id, latest_version_number=event.number)
    _count(rows, event.model_id, 1)


def _count(rows: Rows, model_id: UUID, change: int) -> None:
    count = rows.get("models", model_id)["version_count"]
    rows.update("models", model_id, version_count=count + change)


def _show_production(rows: Rows, id_: UUID) -> None:
    """The model names the version that is in production, and none when that version lost it."""
    version = rows.get("model_versions", id_)
    holds = version["stage"] == PRODUCTION and not version["deleted"]
    shown = rows.get("models", version["model_id"])["production_version_id"] == id_
    if holds and not shown:
        rows.update(
            "models", version["model_id"], production_version_id=id_, production_version_number=version["number"]
        )
    elif shown and not holds:
        rows.update("models", version["model_id"], production_version_id=None, production_version_number=None)
