"""Restorations: when a ledger was brought back from a backup, up to where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ledger.events.restoration import KIND, RestorationRecorded
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

RESTORATIONS = Table(
    name="restorations",
    kind=KIND,
    append_only=True,
    own=(
        Column("backup", "int"),
        Column("backed_up_at", "text"),
        Column("position", "int"),
        Column("backup_position", "int"),
        Column("origin", "text"),
        Column("checkpoint", "text"),
        Column("abandoned", "text"),
        Column("reason", "text"),
    ),
)
TABLES = (RESTORATIONS,)


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    event = cast("RestorationRecorded", recorded.event)
    rows.insert(
        "restorations",
        recorded.stream.id,
        backup=event.backup,
        backed_up_at=event.backed_up_at,
        position=event.position,
        backup_position=event.backup_position,
        origin=event.origin,
        checkpoint=event.checkpoint,
        abandoned=event.abandoned,
        reason=event.reason,
    )
