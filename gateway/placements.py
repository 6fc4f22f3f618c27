"""Which PostgreSQL serves which workspace, as the control ledger says.

What was learnt is kept, and forgotten as soon as the workspace's events say more. Whoever still comes to an old place
is refused there by the head row (`WorkspaceElsewhere`), asks again here, and meanwhile heals what a dead mover left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

import psycopg
import structlog

from commands.command import Rejection
from commands.submission import submission
from commands.workspace import AbandonWorkspaceMove
from gateway.services import Services
from ledger.errors import PlacementAway, PlacementNotConfigured
from ledger.events.workspace import KIND
from ledger.placement import MAIN, Placement, Placing, read_placing
from ledger.postgres import placing as heads
from ledger.postgres.follow import follow
from ledger.values import CONTROL_WORKSPACE, derived_id

ACTOR = "system:gateway"
SETTLE_SECONDS = 0.05
"""How long whoever was refused at a place waits before it looks again."""

FOLLOW_RETRY_SECONDS = 1.0
NOT_ASKED = "it was not asked yet"

log = structlog.get_logger(__name__)


class Placements:
    """`services` for each workspace of the deployment. `start` before use; the home must answer."""

    def __init__(self, everywhere: Mapping[str, Services]) -> None:
        self.everywhere = everywhere
        self.away: dict[str, str] = dict.fromkeys(everywhere, NOT_ASKED)
        self._home = everywhere[MAIN]
        self._known: dict[UUID, Placement] = {}
        self._settling: dict[UUID, asyncio.Task[None]] = {}
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._follower = asyncio.create_task(self._follow(), name="placements")

    async def stop(self) -> None:
        tasks = [task for task in (self._follower, *self._settling.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def arrived(self, alias: str) -> None:
        """That PostgreSQL answers, and can be used."""
        self.away.pop(alias, None)

    async def services(self, workspace_id: UUID) -> Services:
        """Those of the PostgreSQL where the workspace lives. Raises PlacementNotConfigured and PlacementAway."""
        if workspace_id == CONTROL_WORKSPACE:
            return self._home
        placement = self._known.get(workspace_id)
        if placement is None:
            placement = (await read_placing(self._home.reader, workspace_id)).placement
            await self._open(workspace_id, placement)
            self._known[workspace_id] = placement
        return self._on(placement.alias)

    async def settle(self, workspace_id: UUID) -> None:
        """After a WorkspaceElsewhere: what is known is looked up again, and a move whose mover is gone is brought to
        its end, or taken back. Takes a moment; any number of callers share it."""
        task = self._settling.get(workspace_id)
        if task is None:
            task = asyncio.create_task(self._settle(workspace_id), name="settle")
            self._settling[workspace_id] = task
            task.add_done_callback(lambda _: self._settling.pop(workspace_id, None))
        await asyncio.shield(task)

    def _on(self, alias: str) -> Services:
        found = self.everywhere.get(alias)
        if found is None:
            raise PlacementNotConfigured(alias)
        if alias in self.away:
            raise PlacementAway(alias, reason=self.away[alias])
        return found

    async def _open(self, workspace_id: UUID, placement: Placement) -> None:
        """The head row of a workspace in a pool says so before anything is appended."""
        if placement.schema is not None:
            async with self._on(placement.alias).pool.connection() as connection:
                await heads.open_pooled(connection, workspace_id, placement.schema)

    async def _settle(self, workspace_id: UUID) -> None:
        known = self._known.get(workspace_id, Placement())
        services = self._on(known.alias)
        async with services.pool.connection() as connection:
            seen = await heads.presence_of(connection, workspace_id)
        placing = await read_placing(self._home.reader, workspace_id)
        self._known[workspace_id] = placing.placement
        if placing.placement.alias == known.alias:
            async with services.pool.connection() as connection:
                await heads.settle(connection, workspace_id, seen=seen, placing=placing)
        if placing.moving is not None:
            await self._give_up_if_dead(workspace_id, placing)
        await asyncio.sleep(SETTLE_SECONDS)

    async def _give_up_if_dead(self, workspace_id: UUID, placing: Placing) -> None:
        """A mover holds a lock for as long as it lives. Its move is given up in the control ledger first, where it
        can no longer be ended then; the fence is taken down by whoever looks next."""
        assert placing.moving is not None, "a move is on its way"  # noqa: S101
        async with self._home.pool.connection() as connection:
            if not await heads.lock_move(connection, workspace_id):
                return
            try:
                move_id = placing.moving.move_id
                command = AbandonWorkspaceMove(workspace=str(workspace_id), move_id=move_id)
                sent = submission(command, command_id=derived_id("abandon", move_id))
                [answer] = await self._home.handler.submit(CONTROL_WORKSPACE, [sent], actor=ACTOR)
                gave_up = not isinstance(answer, Rejection)
                log.warning("placement.mover_gone", workspace=str(workspace_id), move=str(move_id), gave_up=gave_up)
            finally:
                await heads.unlock_move(connection, workspace_id)

    async def _follow(self) -> None:
        """Forgets what is known of a workspace when the control ledger says more of it."""
        while True:
            try:
                await self._follow_until_lost()
            except (psycopg.OperationalError, OSError) as error:
                log.info("placements.reconnecting", reason=str(error))
            except Exception:
                log.exception("placements.failed")
            # Whatever went wrong, the head rows still refuse who comes with what is no longer so.
            await asyncio.sleep(FOLLOW_RETRY_SECONDS)

    async def _follow_until_lost(self) -> None:
        reader = self._home.reader
        with self._home.wakeups.listening(is_stream=False) as woken:
            after = (await reader.head(CONTROL_WORKSPACE)).position
            self._known.clear()
            async for events in follow(reader, CONTROL_WORKSPACE, after=after, woken=woken):
                for event in events:
                    if event.stream.kind == KIND:
                        self._known.pop(event.stream.id, None)
