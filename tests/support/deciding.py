"""Decisions as specifications: given(events).when(commands).then(events | rejection), in memory.

The real working set resolves the lookups and checks the claims; only the ledger below it is a list of given events.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from commands.command import Command, Decided, Found, Rejection
from commands.registry import command_types, decider
from commands.sealing import stored_claim
from commands.working_set import FoldCache, WorkingSet
from ledger.codec import decode_data, encode_data
from ledger.envelope import NewEvent
from ledger.erasure import MasterKey, Seal
from ledger.postgres.read import LedgerReader
from ledger.postgres.subject_keys import SubjectKeys
from ledger.values import StreamId, derived_id

ALIASES = ("main", "eu", "us")
WORKSPACE = derived_id("tests", "workspace")
T = TypeVar("T")


def stream(kind: str, name: str) -> StreamId:
    """The same stream for the same words."""
    return StreamId(kind, derived_id("tests", kind, name))


def given(*events: NewEvent) -> World:
    """A ledger that holds these events and nothing else."""
    return World(GivenEvents(events))


class GivenEvents:
    """Answers what a working set asks of a ledger."""

    keys = SubjectKeys(cast("AsyncConnectionPool[Any]", None), MasterKey(b"w" * 32, b"h" * 32))

    def __init__(self, events: tuple[NewEvent, ...]) -> None:
        self.streams: dict[StreamId, list[NewEvent]] = {}
        self.claims: dict[str, StreamId] = {}
        for new in events:
            self.streams.setdefault(new.stream, []).append(new)
        for held, history in self.streams.items():
            judge, state = decider(held.kind), None
            for new in history:
                state = judge.evolve(state, new.event)
            self.claims |= {stored_claim(self.keys, key): held for key in judge.claims(state)}

    async def read_stream(self, _workspace_id: UUID, read: StreamId) -> list[SimpleNamespace]:
        return [SimpleNamespace(event=new.event) for new in self.streams.get(read, [])]

    async def holder(self, _workspace_id: UUID, key: str) -> StreamId | None:
        return self.claims.get(key)

    async def last_claim(self, _workspace_id: UUID, prefix: str, before: str | None = None) -> str | None:
        keys = [key for key in self.claims if key.startswith(prefix) and (before is None or key < before)]
        return max(keys, default=None)

    async def streams_between(
        self, _workspace_id: UUID, kind: str, *, first: UUID, last: UUID, limit: int
    ) -> list[StreamId]:
        return [found for found in self.streams if found.kind == kind and first <= found.id <= last][:limit]


@dataclass
class World:
    """A ledger and what was decided on it since."""

    ledger: GivenEvents
    working: WorkingSet = field(init=False)

    def __post_init__(self) -> None:
        self.working = WorkingSet(
            cast("LedgerReader", self.ledger), WORKSPACE, folds=FoldCache(), fresh=True, aliases=ALIASES
        )

    def when(self, *commands: Command) -> Outcome:
        """The outcome of the last command; the ones before it must be accepted."""
        *before, last = commands
        for command in before:
            decision = self.submit(command)
            assert not isinstance(decision, Rejection), decision.message()
        return Outcome(self, self.submit(last))

    def submit(self, command: Command) -> Decided:
        """Decides, and moves the world on if the command is accepted."""
        return at_once(self._submit(command))

    async def _submit(self, command: Command) -> Decided:
        judge = next(judge for known, judge in command_types().values() if known is type(command))
        found: dict[str, Found] = {}
        while lookups := {name: it for name, it in judge.lookups(command, found).items() if name not in found}:
            answers = await self.working.find(lookups)
            if isinstance(answers, Rejection):
                return answers
            found |= answers
        assert found[judge.KIND].stream in self.working.current, "a command acts on a stream that was looked at"
        decision = judge.decide(command, found)
        if isinstance(decision, Rejection):
            return decision
        for new in decision:
            seal = Seal(b"k" * 32, WORKSPACE, new.stream.id, new.stream.id)
            assert decode_data(new.event.type, new.event.schema, encode_data(new.event, seal), seal) == new.event
        moved = await self.working.advance(decision)
        return moved if isinstance(moved, Rejection) else decision

    def state(self, of: StreamId) -> Any:
        return at_once(self.working.load(of)).state

    def claims(self, of: StreamId) -> set[str]:
        return decider(of.kind).claims(self.state(of))


@dataclass
class Outcome:
    """What a command came to."""

    world: World
    decision: Decided

    def then(self, *expected: NewEvent | Rejection) -> World:
        """These events, or this rejection; nothing at all is a command that had nothing to change."""
        if isinstance(self.decision, Rejection):
            assert [self.decision] == list(expected), self.decision.message()
            assert self.decision.message()
            assert isinstance(self.decision.hint(), str)
        else:
            assert self.decision == list(expected)
        return self.world

    def events(self) -> list[NewEvent]:
        """The events of an accepted command."""
        assert not isinstance(self.decision, Rejection), self.decision.message()
        return self.decision

    def rejection(self) -> Rejection:
        assert isinstance(self.decision, Rejection), self.decision
        return self.decision


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs what waits for nothing, because the ledger below is in memory."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("a decision waited for something")
