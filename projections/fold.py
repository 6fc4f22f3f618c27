"""How a batch of events is folded through the projections, in memory and in order.

Only those projections take part whose tables the rows hold: a few tables are folded by themselves while they are
rebuilt, and the others without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections import events as event_index
from projections.errors import ProjectionStopped
from projections.registry import entity_table, projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows


def needed(events: Sequence[RecordedEvent], rows: Rows) -> dict[str, set[UUID]]:
    """The stored rows, by table, that folding these events into `rows` looks at."""
    wanted: dict[str, set[UUID]] = {}
    for event in events:
        kind = event.stream.kind
        own = entity_table(kind).name
        if rows.holds(own):
            wanted.setdefault(own, set()).add(event.stream.id)
            for table, id_ in projection(kind).touches(event):
                wanted.setdefault(table, set()).add(id_)
    return {table: ids for table, ids in wanted.items() if rows.holds(table)}


def fold(rows: Rows, events: Iterable[RecordedEvent]) -> None:
    """Applies events in order. Raises ProjectionStopped at the first that cannot be applied: `rows` are spoilt then."""
    indexed = rows.holds(event_index.TABLE.name)
    for event in events:
        kind = event.stream.kind
        try:
            rows.begin(event)
            if rows.holds(entity_table(kind).name):
                projection(kind).apply(rows, event)
                _follow_stream(rows, event)
            if indexed:
                event_index.apply(rows, event)
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise ProjectionStopped(event.workspace_id, event.position, type_name=event.type, cause=cause) from error


def _follow_stream(rows: Rows, event: RecordedEvent) -> None:
    """Moves the entity's version on, also for an event that changed no column."""
    table = entity_table(event.stream.kind)
    row = rows.find(table.name, event.stream.id)
    if row is not None and not table.append_only and row["version"] < event.version:
        rows.update(table.name, event.stream.id)
