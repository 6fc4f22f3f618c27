"""Workspaces of the organization and where each lives; only the control ledger has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.workspace import (
    KIND,
    WorkspaceCreated,
    WorkspaceMoveAbandoned,
    WorkspaceMoveStarted,
    WorkspacePlaced,
    WorkspaceUpdated,
)
from ledger.placement import MAIN
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 2

WORKSPACES = Table(
    name="workspaces",
    kind=KIND,
    summary="Isolated ledgers, each with its own history.",
    listed=("name", "placed_on", "pool_schema", "description", "created_at"),
    taggable=False,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("description", "text"),
        Column("placed_on", "text", indexed=True),
        Column("pool_schema", "text"),
        Column("moving_to", "text"),
    ),
)
TABLES = (WORKSPACES,)

WorkspaceEvent = WorkspaceCreated | WorkspaceUpdated | WorkspacePlaced | WorkspaceMoveStarted | WorkspaceMoveAbandoned


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("WorkspaceEvent", recorded.event):
        case WorkspaceCreated():
            rows.insert("workspaces", id_, name=event.name, description=event.description, placed_on=MAIN)
        case WorkspaceUpdated():
            rows.update("workspaces", id_, **present(event))
        case WorkspacePlaced():
            rows.update("workspaces", id_, placed_on=event.alias, pool_schema=event.pool_schema, moving_to=None)
        case WorkspaceMoveStarted():
            rows.update("workspaces", id_, moving_to=event.alias)
        case WorkspaceMoveAbandoned():
            rows.update("workspaces", id_, moving_to=None)
        case _:
            assert_never(event)
