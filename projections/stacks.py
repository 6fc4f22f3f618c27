"""Stacks as they are: which component serves which purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.stack import KIND, StackDeleted, StackRegistered, StackRestored, StackUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

STACKS = Table(
    name="stacks",
    kind=KIND,
    summary="Where runs execute and store: one component per type.",
    listed=("name", "components", "updated_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True),
        Column("description", "text"),
        Column("components", "json"),
        Column("labels", "json"),
    ),
)
TABLES = (STACKS,)

StackEvent = StackRegistered | StackUpdated | StackDeleted | StackRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("StackEvent", recorded.event):
        case StackRegistered():
            rows.insert(
                "stacks",
                id_,
                name=event.name,
                description=event.description,
                components=event.components,
                labels=event.labels,
            )
        case StackUpdated():
            rows.update("stacks", id_, **present(event))
        case StackDeleted():
            rows.delete("stacks", id_)
        case StackRestored():
            rows.restore("stacks", id_)
        case _:
            assert_never(event)
