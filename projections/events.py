"""The audit index: one row for each event of the ledger, to search by who, what and when. The data stays there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.table import Column, Table

if TYPE_CHECKING:
    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 2

TABLE = Table(
    name="events",
    kind="event",
    append_only=True,
    own=(
        Column("type", "text", indexed=True),
        Column("kind", "text", indexed=True),
        Column("stream_id", "uuid", indexed=True),
        Column("actor", "text", indexed=True),
        Column("command_id", "uuid"),
        Column("correlation_id", "uuid", indexed=True),
        Column("occurred_at", "time"),
    ),
)


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    """The position and the time of recording are the row's created_position and created_at.

    It looks at no other table, so it is rebuilt by itself; what entities were called is asked when events are shown.
    """
    rows.insert(
        TABLE.name,
        recorded.event_id,
        type=recorded.type,
        kind=recorded.stream.kind,
        stream_id=recorded.stream.id,
        actor=recorded.actor,
        command_id=recorded.command_id,
        correlation_id=recorded.correlation_id,
        occurred_at=recorded.occurred_at,
    )
