"""Rollbacks: when entities were brought back to an earlier state, which ones, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ledger.events.rollback import KIND, RollbackApplied
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

ROLLBACKS = Table(
    name="rollbacks",
    kind=KIND,
    append_only=True,
    own=(
        Column("to_position", "int"),
        Column("planned_at_position", "int"),
        Column("reason", "text"),
        Column("entities", "json"),
        Column("correlation_id", "uuid", indexed=True),
    ),
)
TABLES = (ROLLBACKS,)


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    event = cast("RollbackApplied", recorded.event)
    rows.insert(
        "rollbacks",
        recorded.stream.id,
        to_position=event.to_position,
        planned_at_position=event.planned_at_position,
        reason=event.reason,
        entities=event.entities,
        correlation_id=recorded.correlation_id,
    )
