"""A workspace with a ledger, a projector and queries, all real; and what its tables must hold, folded in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec

from projections.fold import fold
from projections.projector import Projector
from projections.query import Queries
from projections.registry import tables
from projections.rows import Rows
from tests.support.histories import History, append
from tests.support.ledgers import OpenLedger, open_ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ledger.envelope import RecordedEvent
    from projections.table import Row


@dataclass
class Projected:
    ledger: OpenLedger
    projector: Projector
    queries: Queries
    workspace_id: UUID = field(default_factory=uuid4)
    history: History = field(default_factory=History)

    async def record(self) -> int:
        """Appends what the history has pending; the head."""
        return await append(self.ledger.appender, self.workspace_id, self.history)

    async def project(self) -> int:
        """Appends and projects what the history has pending; the checkpoint."""
        await self.record()
        return await self.projector.catch_up(self.workspace_id)

    async def events(self) -> list[RecordedEvent]:
        return await self.ledger.reader.read(self.workspace_id, after=0)

    def anew(self, seed: int) -> Projected:
        """Another workspace in the same database."""
        return Projected(self.ledger, self.projector, self.queries, history=History(seed))


@asynccontextmanager
async def projected(dsn: str, *, observers: tuple[Any, ...] = ()) -> AsyncIterator[Projected]:
    """Opened on a database of its own."""
    async with open_ledger(dsn, observers=observers) as ledger:
        projector = Projector(ledger.pool, ledger.reader)
        await projector.start()
        yield Projected(ledger, projector, Queries(ledger.pool, ledger.reader))


class Oracle:
    """Every version of every row, from folding one event at a time: what answers are checked against."""

    def __init__(self, events: list[RecordedEvent]) -> None:
        self._versions: dict[str, dict[UUID, list[tuple[int, Row]]]] = {name: {} for name in tables()}
        rows = Rows(tables())
        for event in events:
            fold(rows, [event])
            for name in tables():
                for row in rows.inserted(name):
                    versions = self._versions[name].setdefault(row["id"], [])
                    began = row.get("from_position", row["created_position"])
                    if not versions or versions[-1][0] < began:
                        versions.append((began, plain(row)))

    def at(self, name: str, position: int) -> list[Row]:
        """The rows that were there at a position."""
        held = (self._held(versions, position) for versions in self._versions[name].values())
        return [row for row in held if row is not None and not row.get("deleted")]

    def _held(self, versions: list[tuple[int, Row]], position: int) -> Row | None:
        return next((row for began, row in reversed(versions) if began <= position), None)


def plain(row: Row) -> Row:
    """Documents as JSON gives them back; everything else as it is."""
    return {
        name: value if isinstance(value, UUID) or hasattr(value, "tzinfo") else _through_json(value)
        for name, value in row.items()
    }


def _through_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
