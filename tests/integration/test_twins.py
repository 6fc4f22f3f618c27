"""The same command at two processes at once, at the moment where it is hardest to see: the repeat has looked for the
first one, did not find it, and decides on what the first one has done meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from commands.command import Command
from commands.pipeline import DeletePipeline, RegisterPipeline, RestorePipeline, UpdatePipeline
from commands.submission import Receipt
from ledger.postgres.read import LedgerReader, RecordedCommand
from ledger.values import new_id
from tests.support.handling import Handling, open_handling
from tests.support.servers import Database


class RacingReader(LedgerReader):
    """Reads as ever; once, between the look for the command and the decision, the other process is faster."""

    def __init__(self, handling: Handling) -> None:
        super().__init__(handling.ledger.pool)
        self.meanwhile: tuple[Handling, Command, UUID, int | None] | None = None

    async def recorded_commands(self, workspace_id: UUID, ids: Sequence[UUID]) -> dict[UUID, RecordedCommand]:
        found = await super().recorded_commands(workspace_id, ids)
        if self.meanwhile is not None:
            (process, command, command_id, version), self.meanwhile = self.meanwhile, None
            await process.accept(command, id=command_id, expected_version=version)
        return found


@pytest.fixture
async def processes(database: Database) -> AsyncIterator[tuple[Handling, Handling, RacingReader]]:
    """The faster one, the slower one, and how the slower one reads."""
    async with open_handling(database.app_dsn) as one, open_handling(database.app_dsn, one.workspace_id) as two:
        reader = RacingReader(two)
        two.handler._reader = reader
        yield one, two, reader


async def races(
    processes: tuple[Handling, Handling, RacingReader], command: Command, *, version: int | None = None
) -> None:
    """Both get a receipt for the same events."""
    here, there, reader = processes
    command_id = new_id()
    reader.meanwhile = (here, command, command_id, version)
    slow = await there.answer(command, id=command_id, expected_version=version)
    assert isinstance(slow, Receipt), slow.message()
    fast = await here.accept(command, id=command_id, expected_version=version)
    assert slow.repeated
    assert fast.events == slow.events


async def a_stale_pipeline(processes: tuple[Handling, Handling, RacingReader], *changes: type[Command]) -> str:
    """A pipeline that the slower process knows as it was before the changes: its first attempt is in vain."""
    here, there, _ = processes
    made = await there.accept(RegisterPipeline(name="digits"))
    for change in changes:
        await here.accept(change(pipeline=str(made.id)))
    return str(made.id)


async def test_an_expected_version_is_not_stale_by_the_command_itself(
    processes: tuple[Handling, Handling, RacingReader],
) -> None:
    pipeline = await a_stale_pipeline(processes, DeletePipeline, RestorePipeline)
    await races(processes, UpdatePipeline(pipeline=pipeline, description="d"), version=3)


async def test_what_the_command_itself_deleted_is_not_missing(
    processes: tuple[Handling, Handling, RacingReader],
) -> None:
    pipeline = await a_stale_pipeline(processes, DeletePipeline, RestorePipeline)
    await races(processes, DeletePipeline(pipeline=pipeline))


async def test_what_the_command_itself_restored_is_not_refused_for_being_there(
    processes: tuple[Handling, Handling, RacingReader],
) -> None:
    pipeline = await a_stale_pipeline(processes, DeletePipeline)
    await races(processes, RestorePipeline(pipeline=pipeline))
