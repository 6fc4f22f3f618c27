"""Turns: many workspaces share few hands, so that a flood in one of them delays another by a turn and no more.

A turn is one bounded batch. What a workspace is behind by is not kept in memory: it is read again from PostgreSQL when
its turn comes, and the subscription is told not to deliver it meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from ledger.errors import WorkspaceElsewhere
from projections.errors import ProjectionGap, ProjectionNewer, ProjectionStopped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position
    from projections.projector import Projector

HANDS = 3
"""Batches that are applied at the same time, each of another workspace."""

EVENTS_PER_TURN_MAX = 250
EVENTS_WAITING_PER_WORKSPACE_MAX = 500
EVENTS_WAITING_MAX = 5_000
"""Events in memory over all workspaces; beyond it they are read from PostgreSQL when their turn comes."""

REST_SECONDS = 1.0
REST_SECONDS_MAX = 60.0
"""Between two attempts at an event that cannot be applied: twice as long each time, up to this."""

log = structlog.get_logger(__name__)


class Followed(Protocol):
    """What delivers events, and can be told to leave a workspace out for a while."""

    def pause(self, workspace_id: UUID) -> None: ...

    def resume(self, workspace_id: UUID, position: Position) -> None: ...


@dataclass
class Lane:
    """What one workspace waits for. While it is `behind`, its events come from PostgreSQL and not from `waiting`;
    `busy` while it waits for its turn, has it, or rests; `failures` counts attempts in a row that failed."""

    waiting: list[RecordedEvent] = field(default_factory=list)
    behind: bool = False
    busy: bool = False
    failures: int = 0


class Turns:
    """Applies what is offered, each workspace in its turn. Run `work` as often as there are hands."""

    def __init__(self, projector: Projector, reader: LedgerReader, followed: Followed) -> None:
        self._projector = projector
        self._reader = reader
        self._followed = followed
        self._lanes: dict[UUID, Lane] = {}
        self._ready: asyncio.Queue[UUID] = asyncio.Queue()  # each workspace at most once
        self._waiting = 0

    def remember(self, failed: Iterable[UUID]) -> None:
        """Workspaces that were stopped when the program ended: going on is a recovery, to be told."""
        for workspace_id in failed:
            self._lane(workspace_id).failures = 1

    def offer(self, batch: list[RecordedEvent]) -> None:
        """Contiguous events of one workspace. Keeps what there is room for; the rest is read again later."""
        workspace_id = batch[0].workspace_id
        lane = self._lane(workspace_id)
        if lane.behind:
            return
        is_full = len(lane.waiting) + len(batch) > EVENTS_WAITING_PER_WORKSPACE_MAX
        if is_full or self._waiting + len(batch) > EVENTS_WAITING_MAX:
            self._fall_behind(workspace_id, lane)
        else:
            lane.waiting += batch
            self._waiting += len(batch)
        self._line_up(workspace_id, lane)

    async def work(self) -> None:
        """One hand, for ever. Raises what PostgreSQL raises."""
        while True:
            workspace_id = await self._ready.get()
            lane = self._lane(workspace_id)
            rest = await self._turn(workspace_id, lane)
            if rest:
                asyncio.get_running_loop().call_later(rest, self._ready.put_nowait, workspace_id)
            else:
                lane.busy = False
                if lane.behind or lane.waiting:
                    self._line_up(workspace_id, lane)

    async def _turn(self, workspace_id: UUID, lane: Lane) -> float:
        """Applies one batch; answers for how many seconds the workspace rests."""
        try:
            await self._apply_next(workspace_id, lane)
        except ProjectionGap:
            self._fall_behind(workspace_id, lane)
        except (ProjectionStopped, ProjectionNewer) as error:
            self._fall_behind(workspace_id, lane)
            lane.failures += 1
            await self._tell(error, workspace_id)
            return rest_seconds(lane.failures)
        except WorkspaceElsewhere:
            # It was moved: the projector there goes on. Should it come back, it is followed from what is there then.
            self._fall_behind(workspace_id, lane)
            lane.behind, lane.failures = False, 0
            self._followed.resume(workspace_id, 0)
        else:
            if lane.failures:
                lane.failures = 0
                await self._tell_recovery(workspace_id)
        return 0.0

    async def _apply_next(self, workspace_id: UUID, lane: Lane) -> None:
        if not lane.behind:
            batch, lane.waiting = lane.waiting[:EVENTS_PER_TURN_MAX], lane.waiting[EVENTS_PER_TURN_MAX:]
            self._waiting -= len(batch)
            await self._projector.apply(workspace_id, batch)
            return
        position = await self._projector.checkpoint(workspace_id)
        batch = await self._reader.read(workspace_id, after=position, limit=EVENTS_PER_TURN_MAX)
        position = await self._projector.apply(workspace_id, batch)
        if len(batch) < EVENTS_PER_TURN_MAX:
            lane.behind = False
            self._followed.resume(workspace_id, position)

    def _lane(self, workspace_id: UUID) -> Lane:
        return self._lanes.setdefault(workspace_id, Lane())

    def _line_up(self, workspace_id: UUID, lane: Lane) -> None:
        if not lane.busy:
            lane.busy = True
            self._ready.put_nowait(workspace_id)

    def _fall_behind(self, workspace_id: UUID, lane: Lane) -> None:
        lane.behind = True
        self._waiting -= len(lane.waiting)
        lane.waiting = []
        self._followed.pause(workspace_id)

    async def _tell(self, error: ProjectionStopped | ProjectionNewer, workspace_id: UUID) -> None:
        if isinstance(error, ProjectionNewer):
            log.warning("projection.newer", workspace=str(workspace_id), reason=str(error))
            return
        await self._projector.record_stop(error, rebuilding=False)
        log.error("projection.stopped", workspace=str(workspace_id), position=error.position, reason=str(error))

    async def _tell_recovery(self, workspace_id: UUID) -> None:
        if await self._projector.record_recovery(workspace_id, rebuilding=False):
            log.info("projection.recovered", workspace=str(workspace_id))


def rest_seconds(failures: int) -> float:
    """How long to rest after so many failures in a row."""
    return min(REST_SECONDS_MAX, REST_SECONDS * 2.0 ** min(failures - 1, 10))
