"""One batch of events applied to one set of query tables: read what it needs, fold it in memory, write what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections import storage
from projections.fold import fold, needed
from projections.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

    from ledger.envelope import RecordedEvent
    from projections.table import Table


async def apply_batch(
    connection: AsyncConnection[Any],
    schema: str,
    *,
    workspace_id: UUID,
    tables: Mapping[str, Table],
    events: Sequence[RecordedEvent],
) -> None:
    """Inside the caller's transaction and pipeline. Raises ProjectionStopped; nothing of the batch may be kept then."""
    rows = Rows(tables)
    await storage.load(connection, schema, workspace_id=workspace_id, wanted=needed(events, rows), rows=rows)
    fold(rows, events)
    await storage.write(connection, schema, workspace_id=workspace_id, rows=rows)
