"""A command handler on a test's own database, and short ways to submit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from commands.command import Command, Rejection
from commands.handler import CommandHandler
from commands.permissions import EveryoneOnThisMachine
from commands.submission import Receipt, submission
from ledger.values import new_id
from tests.support.ledgers import OpenLedger, open_ledger

ACTOR = "user:ada"


class Handling:
    """One workspace and the handler that serves it."""

    def __init__(self, ledger: OpenLedger, workspace_id: UUID) -> None:
        self.ledger = ledger
        self.workspace_id = workspace_id
        self.handler = CommandHandler(
            reader=ledger.reader, appender=ledger.appender, permissions=EveryoneOnThisMachine()
        )

    async def answer(self, command: Command, *, id: UUID | None = None, **rest: Any) -> Receipt | Rejection:  # noqa: A002
        """What the handler says to one command."""
        sent = submission(command, command_id=id or new_id(), **rest)
        [answer] = await self.handler.submit(self.workspace_id, [sent], actor=ACTOR)
        return answer

    async def accept(self, command: Command, **rest: Any) -> Receipt:
        """The receipt of a command that must be accepted."""
        answer = await self.answer(command, **rest)
        assert isinstance(answer, Receipt), answer.message()
        return answer

    async def batch(self, *commands: Command, atomic: bool = True) -> list[Receipt | Rejection]:
        sent = [submission(command, command_id=new_id()) for command in commands]
        return await self.handler.submit(self.workspace_id, sent, actor=ACTOR, atomic=atomic)

    async def position(self) -> int:
        return (await self.ledger.reader.head(self.workspace_id)).position


@asynccontextmanager
async def open_handling(dsn: str, workspace_id: UUID | None = None) -> AsyncIterator[Handling]:
    """A handler of its own, as another process would have."""
    async with open_ledger(dsn) as ledger:
        yield Handling(ledger, workspace_id or new_id())
