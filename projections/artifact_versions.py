"""Artifact versions, and the counts that their artifact shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.artifact_version import (
    KIND,
    ArtifactVersionDeleted,
    ArtifactVersionRegistered,
    ArtifactVersionRestored,
)
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

ARTIFACT_VERSIONS = Table(
    name="artifact_versions",
    kind=KIND,
    summary="Stored values: where they lie and what produced them.",
    listed=("name", "artifact_type", "data_type", "size_bytes", "created_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("artifact_id", "uuid", indexed=True, immutable=True, loads="artifacts", owner="artifacts"),
        Column("artifact", "text", immutable=True),
        Column("number", "int", immutable=True),
        Column("uri", "text", immutable=True),
        Column("artifact_type", "text", indexed=True, immutable=True),
        Column("data_type", "text", immutable=True),
        Column("materializer", "text", immutable=True),
        Column("content_hash", "text", indexed=True, immutable=True),
        Column("size_bytes", "int", immutable=True),
        Column("save_type", "text", indexed=True, immutable=True),
        Column("artifact_store_id", "uuid", immutable=True),
        Column("run_id", "uuid", indexed=True, immutable=True),
        Column("step", "text", immutable=True),
        Column("output", "text", immutable=True),
    ),
)
TABLES = (ARTIFACT_VERSIONS,)

ArtifactVersionEvent = ArtifactVersionRegistered | ArtifactVersionDeleted | ArtifactVersionRestored


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    if isinstance(recorded.event, ArtifactVersionRegistered):
        yield "artifacts", recorded.event.artifact_id


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ArtifactVersionEvent", recorded.event):
        case ArtifactVersionRegistered():
            _register(rows, id_, event)
        case ArtifactVersionDeleted():
            rows.delete("artifact_versions", id_)
            _count(rows, rows.get("artifact_versions", id_)["artifact_id"], -1)
        case ArtifactVersionRestored():
            rows.restore("artifact_versions", id_)
            _count(rows, rows.get("artifact_versions", id_)["artifact_id"], 1)
        case _:
            assert_never(event)


def _register(rows: Rows, id_: UUID, event: ArtifactVersionRegistered) -> None:
    artifact = rows.get("artifacts", event.artifact_id)["name"]
    rows.insert(
        "artifact_versions",
        id_,
        name=f"{artifact}@{event.number}",
        artifact_id=event.artifact_id,
        artifact=artifact,
        number=event.number,
        uri=event.uri,
        artifact_type=event.artifact_type,
        data_type=event.data_type,
        materializer=event.materializer,
        content_hash=event.content_hash,
        size_bytes=event.size_bytes,
        save_type=event.save_type,
        artifact_store_id=event.artifact_store_id,
        run_id=event.run_id,
        step=event.step,
        output=event.output,
    )
    rows.update("artifacts", event.artifact_id, latest_version_number=event.number)
    _count(rows, event.artifact_id, 1)


def _count(rows: Rows, artifact_id: UUID, change: int) -> None:
    count = rows.get("artifacts", artifact_id)["version_count"]
    rows.update("artifacts", artifact_id, version_count=count + change)
