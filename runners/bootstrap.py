"""What a new deployment starts with: the workspace `default` and in it the stack `local`.

Made by ordinary commands with fixed command ids, so that every start may run it: a repeat changes nothing, also when
people renamed or deleted what it made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from commands.command import Command, Rejection
from commands.component import RegisterComponent
from commands.handler import CommandHandler
from commands.permissions import EveryoneOnThisMachine
from commands.stack import RegisterStack
from commands.submission import submission
from commands.workspace import CreateWorkspace
from ledger.placement import MAIN, read_placing
from ledger.postgres.append import Appender
from ledger.postgres.read import LedgerReader
from ledger.values import CONTROL_WORKSPACE, derived_id
from runners import worker

if TYPE_CHECKING:
    from runners.settings import WorkerSettings

ACTOR = "system:bootstrap"
DEFAULT_WORKSPACE = "default"


class BootstrapRefused(Exception):
    """A default could not be made; the message says which and why."""


async def bootstrap(settings: WorkerSettings) -> None:
    """Makes the defaults, or nothing if they were made before. Raises BootstrapRefused."""
    if settings.data_dir is None:
        raise ValueError("bootstrap needs EVERLINE_DATA_DIR: the default artifact store lies in it")
    async with worker.connections(settings.dsn) as pool:
        reader = LedgerReader(pool, master_key=worker.master_key(settings.keys))
        appender = Appender(settings.dsn)
        await appender.start()
        try:
            handler = CommandHandler(reader=reader, appender=appender, permissions=EveryoneOnThisMachine())
            workspace = derived_id("workspace", DEFAULT_WORKSPACE)
            creation = CreateWorkspace(id=workspace, name=DEFAULT_WORKSPACE, description="Made at the first start")
            await _submit(handler, CONTROL_WORKSPACE, [creation])
            if (await read_placing(reader, workspace)).placement.alias != MAIN:
                return  # it was moved away, so it was made before
            await _submit(handler, workspace, _default_stack(str(settings.data_dir.absolute() / "artifacts")))
        finally:
            await appender.stop()


def _default_stack(store: str) -> list[Command]:
    """Steps run on this machine, artifacts lie in the data directory."""
    return [
        RegisterComponent(
            id=derived_id("component", "local-orchestrator"),
            name="local-orchestrator",
            component_type="orchestrator",
            flavor="local",
            configuration={},
        ),
        RegisterComponent(
            id=derived_id("component", "local-store"),
            name="local-store",
            component_type="artifact_store",
            flavor="local",
            configuration={"path": store},
        ),
        RegisterStack(
            id=derived_id("stack", "local"),
            name="local",
            components={"orchestrator": "local-orchestrator", "artifact_store": "local-store"},
            description="Runs on this machine",
        ),
    ]


async def _submit(handler: CommandHandler, workspace_id: UUID, commands: list[Command]) -> None:
    """The command ids do not depend on the contents: a data directory that moved is no new bootstrap."""
    batch = [
        submission(command, command_id=derived_id("bootstrap", workspace_id, number))
        for number, command in enumerate(commands)
    ]
    for answer in await handler.submit(workspace_id, batch, actor=ACTOR):
        if isinstance(answer, Rejection) and answer.code != "command_id_reused":
            raise BootstrapRefused(f"cannot make the defaults: {answer.message()}")
