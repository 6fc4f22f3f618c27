"""Moving a workspace to another PostgreSQL while it is written to.

Its log is copied, verified and projected there while writers go on; then they wait while the rest follows, the control
ledger records the new place, and they go on there. The head row at the source is fenced before the last copy, and the
control ledger accepts exactly one end of a move, so there are never two places that can be written to. Whoever kills
this program loses nothing: a gateway gives the move up as soon as somebody waits for it, and a repeat goes on from what
was copied.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg

from commands.command import Command, Rejection
from commands.handler import CommandHandler
from commands.permissions import EveryoneOnThisMachine
from commands.submission import submission
from commands.workspace import AbandonWorkspaceMove, PlaceWorkspace, StartWorkspaceMove
from ledger.errors import MoveGivenUp, PlacementNotConfigured
from ledger.placement import MAIN, Placing, read_placing
from ledger.postgres import archives
from ledger.postgres import placing as heads
from ledger.postgres.alongside import copy_claims, copy_differing, refresh_claims
from ledger.postgres.append import Appender
from ledger.postgres.migrate import check_schema
from ledger.postgres.read import LedgerReader
from ledger.postgres.transfer import Transfer
from ledger.values import CONTROL_WORKSPACE, new_id
from projections.leaving import forget
from projections.projector import Projector
from runners import worker
from runners.errors import MoveRefused, MoveTookTooLong

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

ACTOR = "system:mover"
TAIL_EVENTS_MAX = 200
"""Writers wait for no more than this to be copied, and what was written while they were stopped."""

ROUNDS_MAX = 200
"""Writers that are faster than the copy for this many rounds are not moved."""

PAUSE_SECONDS_MAX = 10.0
"""After this the move is given up, and writers go on where they were."""

REBUILD_LOOKS_MAX = 3_600
REBUILD_LOOK_SECONDS = 1.0
LOCK_ATTEMPTS_MAX = 20
LOCK_RETRY_SECONDS = 0.1
STALE_READERS_SECONDS = 0.5
"""How long the old query tables stay after readers were sent away, for the queries that had begun."""


class Step(StrEnum):
    """How far a move is."""

    STARTED = "started"
    COPIED = "copied"
    PROJECTED = "projected"
    FENCED = "fenced"
    COMPLETE = "complete"
    PLACED = "placed"
    OPENED = "opened"
    LEFT = "left"
    CLEARED = "cleared"


class Moved(NamedTuple):
    """What a move did. `pause_seconds` is how long nothing could be written."""

    workspace_id: UUID
    source: str
    target: str
    position: int
    pause_seconds: float


class Place(NamedTuple):
    """One end of a move."""

    alias: str
    pool: AsyncConnectionPool[Any]
    connection: AsyncConnection[Any]


class Home(NamedTuple):
    """The control ledger, and the session that holds the mover's lock."""

    reader: LedgerReader
    handler: CommandHandler
    session: AsyncConnection[Any]

    async def submit(self, command: Command) -> Rejection | None:
        sent = submission(command, command_id=new_id())
        [answer] = await self.handler.submit(CONTROL_WORKSPACE, [sent], actor=ACTOR)
        return answer if isinstance(answer, Rejection) else None


def nothing(_: Step) -> None:
    """For callers that need not know."""


async def move(
    aliases: Mapping[str, str],
    name: str,
    *,
    to: str,
    schema: str | None = None,
    told: Callable[[Step], None] = nothing,
) -> Moved:
    """Moves the workspace of that name or id, or finishes a move whose mover was killed at its end. Raises MoveRefused,
    MoveError and what PostgreSQL raises; then the workspace is where it was, or the move has ended already."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(_home(aliases))
        workspace_id = await home.handler.workspace_id(name)
        if workspace_id is None or workspace_id == CONTROL_WORKSPACE:
            raise MoveRefused("workspace_not_found", f"there is no workspace {name!r} that could be moved")
        await _become_mover(home, workspace_id, name)
        before = await read_placing(home.reader, workspace_id)
        if before.placement.alias == to and (left := await _clear_up(aliases, workspace_id, before)):
            return left
        if to not in aliases:
            raise MoveRefused("unknown_alias", f"there is no PostgreSQL {to!r}; known: {', '.join(sorted(aliases))}")
        source = await stack.enter_async_context(_place(aliases, before.placement.alias))
        target = await stack.enter_async_context(_place(aliases, to))
        seen = await heads.presence_of(source.connection, workspace_id)
        await heads.settle(source.connection, workspace_id, seen=seen, placing=before)
        if any(one.restored_at is None for one in await archives.of_workspace(source.connection, workspace_id)):
            raise MoveRefused("workspace_archived", f"workspace {name!r} has archived positions: restore them first")
        move_id = await _start(home, workspace_id, before, to=to, schema=schema)
        told(Step.STARTED)
        try:
            mover = _Mover(home, source, target, workspace_id=workspace_id, move_id=move_id, told=told)
            pause_seconds = await mover.run(schema)
        except BaseException:
            await _give_up(home, source, workspace_id=workspace_id, move_id=move_id)
            raise
        await _clear(source, workspace_id, move_id, told)
        return Moved(workspace_id, source.alias, to, mover.transfer.position, pause_seconds)


class _Mover:
    """One move, from its start to its end."""

    def __init__(
        self,
        home: Home,
        source: Place,
        target: Place,
        *,
        workspace_id: UUID,
        move_id: UUID,
        told: Callable[[Step], None],
    ) -> None:
        self._home = home
        self._source = source
        self._target = target
        self._workspace_id = workspace_id
        self._move_id = move_id
        self._told = told
        self.transfer = Transfer(source.connection, target.connection, workspace_id=workspace_id, move_id=move_id)
        self._projector = Projector(target.pool, LedgerReader(target.pool, readable={"arriving"}))

    async def run(self, schema: str | None) -> float:
        """Everything until the workspace is written elsewhere; how long writers had to wait."""
        claims_position = await self._copy_while_written(schema)
        began = time.perf_counter()
        if not await heads.fence(self._source.connection, self._workspace_id, self._move_id):
            raise MoveGivenUp(self._workspace_id)
        self._told(Step.FENCED)
        async with asyncio.timeout(PAUSE_SECONDS_MAX) as pause:
            await self._copy_rest(claims_position)
            self._told(Step.COMPLETE)
            pause.reschedule(None)  # from here on only the control ledger says how it ends
        command = PlaceWorkspace(workspace=str(self._workspace_id), move_id=self._move_id)
        if await self._home.submit(command):
            raise MoveGivenUp(self._workspace_id)
        self._told(Step.PLACED)
        await heads.open_arrived(self._target.connection, self._workspace_id, self._move_id)
        self._told(Step.OPENED)
        return time.perf_counter() - began

    async def _copy_while_written(self, schema: str | None) -> int:
        """Until little is missing; the position that the copied claims belong to."""
        await self.transfer.begin(schema=schema)
        await self._catch_up()
        self._told(Step.COPIED)
        await copy_differing(self.transfer)
        await self._projector.start()
        await self._project()
        self._told(Step.PROJECTED)
        claims_position = await copy_claims(self.transfer)
        await self._catch_up()
        await self._project()
        return claims_position

    async def _catch_up(self) -> None:
        for _ in range(ROUNDS_MAX):
            head = await self.transfer.head()
            if head.position - self.transfer.position <= TAIL_EVENTS_MAX:
                return
            await self.transfer.copy(until=head.position)
        raise MoveTookTooLong(f"writers are faster than the copy for {ROUNDS_MAX} rounds")

    async def _copy_rest(self, claims_position: int) -> None:
        """Nobody appends any more: what is missing, and the proof that nothing is."""
        head = await self.transfer.head()
        await self.transfer.copy(until=head.position)
        await self.transfer.finish(head)
        await refresh_claims(self.transfer, after=claims_position)
        await copy_differing(self.transfer)
        await self._project()

    async def _project(self) -> None:
        """A long history is built by a rebuild, which a projector there may have taken up already."""
        await self._projector.catch_up(self._workspace_id, until=self.transfer.position)
        for _ in range(REBUILD_LOOKS_MAX):
            if self._workspace_id not in await self._projector.ordered():
                return
            if await self._projector.rebuild(self._workspace_id) is None:
                await asyncio.sleep(REBUILD_LOOK_SECONDS)
        raise MoveTookTooLong("the query tables at the target are not built yet")


async def _clear(source: Place, workspace_id: UUID, move_id: UUID, told: Callable[[Step], None]) -> None:
    """Sends readers of the old place away, then drops its query tables. Its log stays, read-only."""
    await heads.leave(source.connection, workspace_id, move_id)
    told(Step.LEFT)
    await forget(source.pool, workspace_id, after_seconds=STALE_READERS_SECONDS)
    told(Step.CLEARED)


async def _clear_up(aliases: Mapping[str, str], workspace_id: UUID, placing: Placing) -> Moved | None:
    """What a mover that was killed has left to do, after the control ledger had recorded its move."""
    for alias in aliases.keys() - {placing.placement.alias}:
        async with _place(aliases, alias) as source:
            seen = await heads.presence_of(source.connection, workspace_id)
            if seen and seen.state == "leaving" and seen.move_id and seen.move_id == placing.placement.move_id:
                await _clear(source, workspace_id, seen.move_id, nothing)
                position = (await LedgerReader(source.pool).heads()).get(workspace_id, 0)
                return Moved(workspace_id, alias, placing.placement.alias, position, 0.0)
    return None


async def _start(home: Home, workspace_id: UUID, before: Placing, *, to: str, schema: str | None) -> UUID:
    """Records that the move has begun. A move that is on its way has lost its mover, or its lock would not be ours."""
    move_id = new_id()
    refused = await home.submit(
        StartWorkspaceMove(
            workspace=str(workspace_id),
            move_id=move_id,
            alias=to,
            pool_schema=schema,
            instead_of=before.moving.move_id if before.moving else None,
        )
    )
    if refused:
        raise MoveRefused(refused.code, refused.message())
    return move_id


async def _give_up(home: Home, source: Place, *, workspace_id: UUID, move_id: UUID) -> None:
    """Writers go on where they were, unless the move has ended after all, or nobody knows: then whoever comes to the
    fence looks again. The connections of the copy may be in the middle of something."""
    await home.submit(AbandonWorkspaceMove(workspace=str(workspace_id), move_id=move_id))
    placing = await read_placing(home.reader, workspace_id)
    if placing.placement.move_id == move_id or (placing.moving and placing.moving.move_id == move_id):
        return
    async with source.pool.connection() as connection:
        await heads.take_down_fence(connection, workspace_id, move_id)


async def _become_mover(home: Home, workspace_id: UUID, name: str) -> None:
    for _ in range(LOCK_ATTEMPTS_MAX):  # a gateway that looks whether the mover lives holds it for a moment
        if await heads.lock_move(home.session, workspace_id):
            return
        await asyncio.sleep(LOCK_RETRY_SECONDS)
    raise MoveRefused("move_running", f"workspace {name!r} is being moved already; wait until that has ended")


@asynccontextmanager
async def _home(aliases: Mapping[str, str]) -> AsyncIterator[Home]:
    dsn = aliases[MAIN]
    async with worker.connections(dsn) as pool, await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session:
        appender = Appender(dsn)
        await appender.start()
        try:
            reader = LedgerReader(pool)
            permissions = EveryoneOnThisMachine()
            handler = CommandHandler(reader=reader, appender=appender, permissions=permissions, aliases=aliases.keys())
            yield Home(reader, handler, session)
        finally:
            await appender.stop()


@asynccontextmanager
async def _place(aliases: Mapping[str, str], alias: str) -> AsyncIterator[Place]:
    """A PostgreSQL that can be used. Raises PlacementNotConfigured, SchemaOlder and SchemaNewer."""
    if alias not in aliases:
        raise PlacementNotConfigured(alias)
    connect = psycopg.AsyncConnection.connect(aliases[alias], autocommit=True, options="-c TimeZone=UTC")
    async with worker.connections(aliases[alias]) as pool, await connect as connection:
        await check_schema(pool)
        yield Place(alias, pool, connection)
