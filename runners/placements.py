"""The PostgreSQLs of a deployment, and what lives on each: for people who operate it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import psycopg

from ledger.errors import SchemaNewer, SchemaOlder
from ledger.events.workspace import KIND
from ledger.placement import MAIN, Placing
from ledger.postgres.dropping import drop_left
from ledger.postgres.migrate import check_schema
from ledger.postgres.read import LedgerReader
from ledger.values import CONTROL_WORKSPACE
from runners import worker
from runners.errors import MoveRefused

if TYPE_CHECKING:
    from typing import Any

    from psycopg_pool import AsyncConnectionPool

USABLE = "ok"
NOT_CONFIGURED = "not configured"
CONNECT_SECONDS_MAX = 3


class AliasRow(msgspec.Struct, frozen=True):
    """One row of `placement list`. `workspaces` live there by the control ledger; `events` is the sum of the positions
    of the ledgers there, `left` counts those that a move has left behind."""

    alias: str
    state: str
    workspaces: int
    events: int = 0
    moving: int = 0
    left: int = 0


async def listed(aliases: Mapping[str, str]) -> list[AliasRow]:
    """Every PostgreSQL that the settings or the control ledger name, the home first."""
    async with worker.connections(aliases[MAIN]) as home:
        counts = Counter(
            placing.placement.alias for placing in (await _placings(LedgerReader(home, people=False))).values()
        )
    rows = [await _row(alias, dsn, counts[alias]) for alias, dsn in aliases.items()]
    unknown = sorted(counts.keys() - aliases.keys())
    return rows + [AliasRow(alias, NOT_CONFIGURED, counts[alias]) for alias in unknown]


async def drop(aliases: Mapping[str, str], owners: Mapping[str, str], name: str, *, on: str) -> None:
    """Deletes what a move has left of a workspace on a PostgreSQL. Raises MoveRefused."""
    if on not in owners:
        raise MoveRefused("owner_dsn_missing", f"EVERLINE_OWNER_DSNS does not name {on!r}: only the owner may delete")
    workspace_id = await _workspace_id(aliases, name)
    async with await psycopg.AsyncConnection.connect(owners[on], autocommit=True) as owner:
        if not await drop_left(owner, workspace_id):
            raise MoveRefused("nothing_left", f"no move has left anything of workspace {name!r} on {on!r}")


async def _workspace_id(aliases: Mapping[str, str], name: str) -> UUID:
    async with worker.connections(aliases[MAIN]) as home:
        try:
            return UUID(name)
        except ValueError:
            holder = await LedgerReader(home).holder(CONTROL_WORKSPACE, f"{KIND}:{name}")
    if holder is None:
        raise MoveRefused("workspace_not_found", f"there is no workspace {name!r}")
    return holder.id


async def _placings(reader: LedgerReader) -> dict[UUID, Placing]:
    """Where every workspace is, by the whole control ledger."""
    placings: dict[UUID, Placing] = {}
    after = 0
    while events := await reader.read(CONTROL_WORKSPACE, after=after):
        for event in events:
            if event.stream.kind == KIND:
                placings[event.stream.id] = placings.get(event.stream.id, Placing()).after(event.event)
        after = events[-1].position
    return placings


async def _row(alias: str, dsn: str, workspaces: int) -> AliasRow:
    try:
        async with worker.connections(dsn, wait_seconds_max=CONNECT_SECONDS_MAX) as pool:
            await check_schema(pool)
            presences, events = await _presences(pool)
    except psycopg.OperationalError:
        return AliasRow(alias, "away", workspaces)
    except (SchemaOlder, SchemaNewer) as error:
        return AliasRow(alias, f"schema {error.found}, {error.known} needed", workspaces)
    moving = presences["leaving"] + presences["arriving"]
    return AliasRow(alias, USABLE, workspaces, events=events, moving=moving, left=presences["gone"])


async def _presences(pool: AsyncConnectionPool[Any]) -> tuple[Counter[str], int]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT presence, count(*), sum(position) FROM ledger.heads WHERE workspace_id <> %s GROUP BY 1",
            (CONTROL_WORKSPACE,),
        )
        rows = await cursor.fetchall()
    return Counter({row[0]: row[1] for row in rows}), sum(int(row[2]) for row in rows if row[0] in {"here", "leaving"})
