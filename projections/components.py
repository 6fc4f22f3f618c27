"""Components as they are: the configured pieces that stacks combine."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.component import KIND, ComponentDeleted, ComponentRegistered, ComponentRestored, ComponentUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

COMPONENTS = Table(
    name="components",
    kind=KIND,
    summary="Configured pieces of infrastructure that stacks combine.",
    listed=("name", "component_type", "flavor", "configuration", "updated_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True),
        Column("component_type", "text", indexed=True, immutable=True),
        Column("flavor", "text", indexed=True, immutable=True),
        Column("configuration", "json"),
        Column("description", "text"),
        Column("labels", "json"),
    ),
)
TABLES = (COMPONENTS,)

ComponentEvent = ComponentRegistered | ComponentUpdated | ComponentDeleted | ComponentRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ComponentEvent", recorded.event):
        case ComponentRegistered():
            rows.insert(
                "components",
                id_,
                name=event.name,
                component_type=event.component_type,
                flavor=event.flavor,
                configuration=event.configuration,
                description=event.description,
                labels=event.labels,
            )
        case ComponentUpdated():
            rows.update("components", id_, **present(event))
        case ComponentDeleted():
            rows.delete("components", id_)
        case ComponentRestored():
            rows.restore("components", id_)
        case _:
            assert_never(event)
