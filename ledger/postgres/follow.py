"""Following one workspace straight from PostgreSQL: for streams to clients, who need no broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.postgres.read import READ_LIMIT_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position


async def follow(
    reader: LedgerReader, workspace_id: UUID, *, after: Position, woken: AsyncIterator[set[UUID]]
) -> AsyncIterator[list[RecordedEvent]]:
    """One workspace's events after a position, for ever, straight from PostgreSQL: for streams to clients.

    Raises WorkspaceElsewhere when the workspace has moved away.
    """
    async for workspaces in woken:
        if workspaces and workspace_id not in workspaces:
            continue
        while after < (await reader.head(workspace_id)).position:
            events = await reader.read(workspace_id, after=after, limit=READ_LIMIT_MAX)
            after = events[-1].position
            yield events
