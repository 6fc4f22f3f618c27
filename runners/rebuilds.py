"""Rebuilds in the background: claims what another version of the program made, and works off what is ordered.

One at a time in each program, since a rebuild takes a core; live events go on being applied beside it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from projections.errors import ProjectionNewer, ProjectionStopped, SwapRefused
from runners.turns import rest_seconds

if TYPE_CHECKING:
    from uuid import UUID

    from projections.projector import Projector

LOOK_SECONDS = 1.0
"""How often orders are looked for."""

log = structlog.get_logger(__name__)


class Rebuilds:
    """The rebuilds that one program does."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._failures: dict[UUID, int] = {}
        self._rests_until: dict[UUID, float] = {}

    async def work(self) -> None:
        """For ever. Raises what PostgreSQL raises."""
        await self._projector.clean()
        await self._claim()
        while True:
            for workspace_id in await self._projector.ordered():
                if time.monotonic() >= self._rests_until.get(workspace_id, 0.0):
                    await self._rebuild(workspace_id)
            await self._projector.renew_statistics()
            await asyncio.sleep(LOOK_SECONDS)

    async def _claim(self) -> None:
        """What other versions made is found at once, also where nothing happens."""
        for workspace_id in await self._projector.of_other_versions():
            try:
                await self._projector.claim(workspace_id)
            except ProjectionNewer as error:
                log.warning("projection.newer", workspace=str(workspace_id), reason=str(error))

    async def _rebuild(self, workspace_id: UUID) -> None:
        started = time.monotonic()
        try:
            position = await self._projector.rebuild(workspace_id)
        except (ProjectionStopped, ProjectionNewer, SwapRefused) as error:
            await self._fail(workspace_id, error)
            return
        if position is not None:
            seconds = round(time.monotonic() - started, 3)
            log.info("projection.rebuilt", workspace=str(workspace_id), position=position, seconds=seconds)
            self._failures.pop(workspace_id, None)
            if await self._projector.record_recovery(workspace_id, rebuilding=True):
                log.info("projection.recovered", workspace=str(workspace_id), rebuilding=True)

    async def _fail(self, workspace_id: UUID, error: ProjectionStopped | ProjectionNewer | SwapRefused) -> None:
        failures = self._failures[workspace_id] = self._failures.get(workspace_id, 0) + 1
        self._rests_until[workspace_id] = time.monotonic() + rest_seconds(failures)
        log.error("projection.not_rebuilt", workspace=str(workspace_id), code=error.code, reason=str(error))
        if isinstance(error, ProjectionStopped):
            await self._projector.record_stop(error, rebuilding=True)
