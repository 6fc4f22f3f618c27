"""Given these events, then these rows: folding without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from ledger.envelope import RecordedEvent
from ledger.values import StreamId
from projections.fold import fold
from projections.registry import tables
from projections.rows import Rows

if TYPE_CHECKING:
    from ledger.envelope import Event
    from projections.table import Row

WORKSPACE = UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Folded:
    """Rows after the events recorded so far; each event comes a second after the one before."""

    def __init__(self) -> None:
        self.rows = Rows(tables())
        self.position = 0
        self._versions: dict[StreamId, int] = {}

    def record(self, kind: str, id_: UUID, *events: Event) -> Folded:
        for event in events:
            fold(self.rows, [self.next(StreamId(kind, id_), event)])
        return self

    def next(self, stream: StreamId, event: Event) -> RecordedEvent:
        self.position += 1
        self._versions[stream] = self._versions.get(stream, 0) + 1
        at = NOON + timedelta(seconds=self.position)
        return RecordedEvent(
            workspace_id=WORKSPACE,
            position=self.position,
            stream=stream,
            version=self._versions[stream],
            event_id=uuid4(),
            type=event.type,
            schema=event.schema,
            event=event,
            actor="ada",
            command_id=uuid4(),
            correlation_id=uuid4(),
            causation_id=None,
            occurred_at=at,
            recorded_at=at,
            leaf_hash=bytes(32),
        )

    def row(self, table: str, id_: UUID) -> Row:
        return self.rows.get(table, id_)

    def versions(self, table: str, id_: UUID) -> list[tuple[int, int]]:
        """The closed versions of a row as [from, to)."""
        return [(row["from_position"], to) for row, to, _ in self.rows.closed(table) if row["id"] == id_]
