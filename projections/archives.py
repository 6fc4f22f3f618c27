"""Archives of the deployment's workspaces; only the control ledger has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.archive import KIND, ArchiveMade, ArchiveRestored
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

ARCHIVES = Table(
    name="archives",
    kind=KIND,
    summary="Old positions in an object store: made, listed, restored.",
    listed=("id", "of_workspace_id", "first_position", "last_position", "url", "status", "created_at"),
    own=(
        Column("of_workspace_id", "uuid", indexed=True, immutable=True),
        Column("first_position", "int", immutable=True),
        Column("last_position", "int", immutable=True),
        Column("url", "text", immutable=True),
        Column("manifest_sha256", "text", immutable=True),
        Column("size_bytes", "int", immutable=True),
        Column("status", "text"),
    ),
)
TABLES = (ARCHIVES,)

ArchiveEvent = ArchiveMade | ArchiveRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ArchiveEvent", recorded.event):
        case ArchiveMade():
            rows.insert(
                "archives",
                id_,
                of_workspace_id=event.workspace_id,
                first_position=event.first_position,
                last_position=event.last_position,
                url=event.url,
                manifest_sha256=event.manifest_sha256,
                size_bytes=event.size_bytes,
                status="archived",
            )
        case ArchiveRestored():
            rows.update("archives", id_, status="restored")
        case _:
            assert_never(event)
