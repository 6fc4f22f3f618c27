"""Workspaces of the organization; only the control ledger has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.workspace import KIND, WorkspaceCreated, WorkspaceUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

WORKSPACES = Table(
    name="workspaces",
    kind=KIND,
    summary="Isolated ledgers, each with its own history.",
    listed=("name", "description", "created_at"),
    taggable=False,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("description", "text"),
    ),
)
TABLES = (WORKSPACES,)

WorkspaceEvent = WorkspaceCreated | WorkspaceUpdated


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("WorkspaceEvent", recorded.event):
        case WorkspaceCreated():
            rows.insert("workspaces", id_, name=event.name, description=event.description)
        case WorkspaceUpdated():
            rows.update("workspaces", id_, **present(event))
        case _:
            assert_never(event)
