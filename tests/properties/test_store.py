"""The store against a simple model: a list of events, a dictionary of versions, one of claims."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ledger.errors import AppendRefused, ClaimTaken, CommandRecorded, VersionConflict
from ledger.events.pipeline import PipelineUpdated
from ledger.values import StreamId, new_id
from tests.support.ledgers import open_ledger, unit
from tests.support.servers import Database

STREAMS = [StreamId("pipeline", UUID(int=n + 1)) for n in range(4)]
KEYS = [f"pipeline:{name}" for name in "abc"]


class StoreMachine(RuleBasedStateMachine):
    """Each step appends units concurrently; the model replays them in the order in which they were recorded."""

    dsn = ""
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.workspace = new_id()
        self.commands: list[UUID] = []
        self.log: list[tuple[StreamId, str]] = []
        self.claims: dict[str, StreamId] = {}
        self.context = open_ledger(self.dsn)
        self.ledger = self.loop.run_until_complete(self.context.__aenter__())

    def teardown(self) -> None:
        self.loop.run_until_complete(self.context.__aexit__(None, None, None))

    def version(self, stream: StreamId) -> int:
        return sum(1 for logged, _ in self.log if logged == stream)

    def append(self, stream: StreamId, text: str, **rest: Any) -> Exception | None:
        """What the store says to one unit."""
        asked = unit(self.workspace, (stream, PipelineUpdated(description=text)), **rest)
        try:
            self.loop.run_until_complete(self.ledger.appender.append(asked))
        except AppendRefused as refusal:
            return refusal
        self.commands.append(asked.commands[0].command_id)
        self.log.append((stream, text))
        return None

    @rule(stream=st.sampled_from(STREAMS), text=st.text(st.characters(exclude_characters="\x00"), max_size=20))
    def append_at_the_right_version(self, stream: StreamId, text: str) -> None:
        assert self.append(stream, text, expected={stream: self.version(stream)}) is None

    @rule(stream=st.sampled_from(STREAMS), off=st.sampled_from([-1, 1, 5]))
    def append_at_a_wrong_version(self, stream: StreamId, off: int) -> None:
        refusal = self.append(stream, "x", expected={stream: self.version(stream) + off})
        assert isinstance(refusal, VersionConflict)

    @rule(stream=st.sampled_from(STREAMS), key=st.sampled_from(KEYS))
    def take_a_claim(self, stream: StreamId, key: str) -> None:
        holder = self.claims.get(key, stream)
        refusal = self.append(stream, "t", expected={stream: self.version(stream)}, take={key: stream})
        if holder == stream:
            assert refusal is None
            self.claims[key] = stream
        else:
            assert isinstance(refusal, ClaimTaken)
            assert refusal.holder == holder

    @rule(key=st.sampled_from(KEYS))
    def release_a_claim(self, key: str) -> None:
        holder = self.claims.pop(key, None)
        if holder is not None:
            assert self.append(holder, "r", expected={holder: self.version(holder)}, release={key: holder}) is None

    @rule(data=st.data(), stream=st.sampled_from(STREAMS))
    def repeat_a_command(self, data: st.DataObject, stream: StreamId) -> None:
        if self.commands:
            command = data.draw(st.sampled_from(self.commands))
            refusal = self.append(stream, "again", expected={stream: self.version(stream)}, command_id=command)
            assert isinstance(refusal, CommandRecorded)

    @rule(stream=st.sampled_from(STREAMS), count=st.integers(2, 6))
    def race(self, stream: StreamId, count: int) -> None:
        """Several units expect the same version: exactly one is recorded."""
        version = self.version(stream)
        asked = [
            unit(self.workspace, (stream, PipelineUpdated(description=str(n))), expected={stream: version})
            for n in range(count)
        ]

        async def run() -> list[Any]:
            return await asyncio.gather(*(self.ledger.appender.append(one) for one in asked), return_exceptions=True)

        outcomes = self.loop.run_until_complete(run())
        winners = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
        assert len(winners) == 1
        self.log.append((stream, str(winners[0])))

    @invariant()
    def the_log_is_the_models(self) -> None:
        events = self.loop.run_until_complete(self.ledger.reader.read(self.workspace, after=0))
        assert [event.position for event in events] == list(range(1, len(self.log) + 1))
        assert [(event.stream, event.event.description) for event in events] == self.log  # type: ignore[attr-defined]

    @invariant()
    def claims_have_the_models_holders(self) -> None:
        for key in KEYS:
            holder = self.loop.run_until_complete(self.ledger.reader.holder(self.workspace, key))
            assert holder == self.claims.get(key)


@pytest.fixture
def loop_of_its_own() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_the_store_behaves_like_the_model(database: Database, loop_of_its_own: asyncio.AbstractEventLoop) -> None:
    machine = type("Machine", (StoreMachine,), {"dsn": database.app_dsn, "loop": loop_of_its_own})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
