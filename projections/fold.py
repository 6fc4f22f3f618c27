"""How a batch of events is folded through the projections, in memory and in order."""

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


def needed(events: Sequence[RecordedEvent]) -> dict[str, set[UUID]]:
    """The stored rows, by table, that folding these events looks at."""
    wanted: dict[str, set[UUID]] = {}
    for event in events:
        wanted.setdefault(entity_table(event.stream.kind).name, set()).add(event.stream.id)
        for table, id_ in projection(event.stream.kind).touches(event):
            wanted.setdefault(table, set()).add(id_)
    return wanted


def fold(rows: Rows, events: Iterable[RecordedEvent]) -> None:
    """Applies events in order. Raises ProjectionStopped at the first that cannot be applied: `rows` are spoilt then."""
    for event in events:
        try:
            rows.begin(event)
            projection(event.stream.kind).apply(rows, event)
            event_index.apply(rows, event, entity_name=_follow_stream(rows, event))
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise ProjectionStopped(event.workspace_id, event.position, type_name=event.type, cause=cause) from error


def _follow_stream(rows: Rows, event: RecordedEvent) -> str:
    """Moves the entity's version on, also for an event that changed no column; the entity's name if it has one."""
    table = entity_table(event.stream.kind)
    row = rows.find(table.name, event.stream.id)
    if row is None:
        return ""
    if not table.append_only and row["version"] < event.version:
        rows.update(table.name, event.stream.id)
    # The index outlives an erasure, so it does not repeat what people are called.
    return "" if table.personal else row.get("name") or ""
