"""Artifacts, with the count and the newest of their versions (kept by `artifact_versions.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.artifact import KIND, ArtifactDeleted, ArtifactRegistered, ArtifactRestored, ArtifactUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

ARTIFACTS = Table(
    name="artifacts",
    kind=KIND,
    summary="Named data that steps produce; versions and lineage.",
    listed=("name", "version_count", "latest_version_number", "updated_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True),
        Column("description", "text"),
        Column("version_count", "int"),
        Column("latest_version_number", "int"),
    ),
)
TABLES = (ARTIFACTS,)

ArtifactEvent = ArtifactRegistered | ArtifactUpdated | ArtifactDeleted | ArtifactRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ArtifactEvent", recorded.event):
        case ArtifactRegistered():
            rows.insert("artifacts", id_, name=event.name, description=event.description, version_count=0)
        case ArtifactUpdated():
            rows.update("artifacts", id_, **present(event))
        case ArtifactDeleted():
            rows.delete("artifacts", id_)
        case ArtifactRestored():
            rows.restore("artifacts", id_)
        case _:
            assert_never(event)
