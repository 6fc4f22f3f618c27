"""The store against a simple model: a list of events, dictionaries of versions and claims, and the moments asked about.

Two processes append; each may lose its connection between lock and commit, or after the commit and before its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ledger import merkle
from ledger.appending import Unit
from ledger.codec import canonical
from ledger.errors import ClaimTaken, CommandRecorded, GuardFailed, PositionBeyondHead, VersionConflict
from ledger.events.pipeline import PipelineUpdated
from ledger.postgres import writer
from ledger.values import StreamId, new_id
from tests.support.ledgers import OpenLedger, open_ledger, unit
from tests.support.servers import Database

PROCESSES = 2
STREAMS = [StreamId("pipeline", UUID(int=n + 1)) for n in range(4)]
KEYS = [f"pipeline:{name}" for name in "abc"]
NUMBERS = "number:"
CRASHES = ["before the commit", "before the answer"]

processes = st.integers(0, PROCESSES - 1)
streams = st.sampled_from(STREAMS)
keys = st.sampled_from(KEYS)
texts = st.text(st.characters(exclude_characters="\x00"), max_size=20)


class Crashes:
    """Where the next batches lose their connections. It stands in the way of the writer's last round trip."""

    def __init__(self, dsn: str) -> None:
        self.coming: list[str] = []
        self._dsn = dsn
        self._commit = writer.write_and_commit

    async def write_and_commit(self, connection: psycopg.AsyncConnection[Any], *rest: Any) -> None:
        """As ever, or with PostgreSQL ending the session on one side of the commit."""
        crash = self.coming.pop() if self.coming else None
        if crash == "before the commit":
            await self._end(connection)
        await self._commit(connection, *rest)
        if crash is not None:
            await self._end(connection)
            raise psycopg.OperationalError("the answer was lost")

    async def _end(self, connection: psycopg.AsyncConnection[Any]) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


class StoreMachine(RuleBasedStateMachine):
    """Each step asks the store and the model the same."""

    dsn = ""
    loop: asyncio.AbstractEventLoop
    crashes: Crashes

    def __init__(self) -> None:
        super().__init__()
        self.workspace = new_id()
        self.commands: list[UUID] = []
        self.log: list[tuple[StreamId, str]] = []
        self.claims: dict[str, StreamId] = {}
        self.moments: dict[datetime, int] = {}
        self.exits = AsyncExitStack()
        self.processes: list[OpenLedger] = [
            self.run(self.exits.enter_async_context(open_ledger(self.dsn))) for _ in range(PROCESSES)
        ]

    def teardown(self) -> None:
        self.crashes.coming.clear()
        self.run(self.exits.aclose())

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @property
    def reader(self) -> Any:
        return self.processes[0].reader

    def version(self, stream: StreamId) -> int:
        return sum(1 for logged, _ in self.log if logged == stream)

    def last_number(self) -> str | None:
        return max((key for key in self.claims if key.startswith(NUMBERS)), default=None)

    def unit(self, stream: StreamId, text: str, **rest: Any) -> Unit:
        """One event at the version that the model knows."""
        expected = {stream: self.version(stream)}
        return unit(self.workspace, (stream, PipelineUpdated(description=text)), **{"expected": expected, **rest})

    def append(self, process: int, asked: Unit) -> Exception | None:
        """What the store says; a lost answer is looked up as its caller would. What is recorded enters the model."""
        try:
            self.run(self.processes[process].appender.append(asked))
        except CommandRecorded as repeated:
            ids = [command.command_id for command in asked.commands]
            if set(ids) & set(self.commands):
                return repeated
            assert self.run(self.reader.recorded_commands(self.workspace, ids)).keys() == set(ids)
        except (ClaimTaken, GuardFailed, VersionConflict) as refusal:
            return refusal
        self.record(asked)
        return None

    def record(self, asked: Unit) -> None:
        for key in asked.release:
            self.claims.pop(key, None)
        self.claims |= {key: stream for key, stream in asked.take.items() if asked.release.get(key) != stream}
        for command in asked.commands:
            self.commands.append(command.command_id)
            for event in command.events:
                self.log.append((event.stream, _text(event.data)))

    @rule(crash=st.sampled_from(CRASHES))
    def crash_at_the_next_commit(self, crash: str) -> None:
        self.crashes.coming.append(crash)

    @rule(process=processes, stream=streams, text=texts)
    def append_at_the_right_version(self, process: int, stream: StreamId, text: str) -> None:
        assert self.append(process, self.unit(stream, text)) is None

    @rule(process=processes, stream=streams, off=st.sampled_from([-1, 1, 5]))
    def append_at_a_wrong_version(self, process: int, stream: StreamId, off: int) -> None:
        refusal = self.append(process, self.unit(stream, "x", expected={stream: self.version(stream) + off}))
        assert isinstance(refusal, VersionConflict)

    @rule(process=processes, one=streams, other=streams, is_wrong=st.booleans())
    def append_several_commands(self, process: int, one: StreamId, other: StreamId, is_wrong: bool) -> None:
        """All of them or none."""
        first, second = self.unit(one, "first"), self.unit(other, "second")
        expected = {one: self.version(one), other: self.version(other) + is_wrong}
        refusal = self.append(process, first._replace(commands=first.commands + second.commands, expected=expected))
        assert isinstance(refusal, VersionConflict) == is_wrong

    @rule(process=processes, stream=streams, key=keys)
    def take_a_claim(self, process: int, stream: StreamId, key: str) -> None:
        holder = self.claims.get(key, stream)
        refusal = self.append(process, self.unit(stream, "t", take={key: stream}))
        if holder == stream:
            assert refusal is None
        else:
            assert isinstance(refusal, ClaimTaken)
            assert refusal.holder == holder

    @rule(process=processes, key=keys)
    def release_a_claim(self, process: int, key: str) -> None:
        if (holder := self.claims.get(key)) is not None:
            assert self.append(process, self.unit(holder, "r", release={key: holder})) is None

    @rule(process=processes, key=keys, stream=streams)
    def hand_a_claim_over(self, process: int, key: str, stream: StreamId) -> None:
        holder = self.claims.get(key)
        if holder is not None and holder != stream:
            both = {holder: self.version(holder), stream: self.version(stream)}
            asked = self.unit(stream, "h", expected=both, release={key: holder}, take={key: stream})
            assert self.append(process, asked) is None

    @rule(process=processes, stream=streams, key=keys)
    def take_a_claim_for_a_moment(self, process: int, stream: StreamId, key: str) -> None:
        """It has to be free, and is free afterwards."""
        holder = self.claims.get(key, stream)
        refusal = self.append(process, self.unit(stream, "m", take={key: stream}, release={key: stream}))
        assert isinstance(refusal, ClaimTaken) == (holder != stream)

    @rule(process=processes, stream=streams, is_stale=st.booleans())
    def take_the_next_number(self, process: int, stream: StreamId, is_stale: bool) -> None:
        """A guard: the last key under a prefix must be the one that was seen."""
        last = self.last_number()
        number = int(last.removeprefix(NUMBERS)) + 1 if last else 1
        seen = f"{NUMBERS}{number + 7:010}" if is_stale else last
        take = {f"{NUMBERS}{number:010}": stream}
        refusal = self.append(process, self.unit(stream, "n", take=take, guards={NUMBERS: seen}))
        assert isinstance(refusal, GuardFailed) == is_stale

    @precondition(lambda self: self.commands)
    @rule(data=st.data(), process=processes, stream=streams)
    def repeat_a_command(self, data: st.DataObject, process: int, stream: StreamId) -> None:
        command = data.draw(st.sampled_from(self.commands))
        assert isinstance(self.append(process, self.unit(stream, "again", command_id=command)), CommandRecorded)

    @rule(stream=streams, count=st.integers(2, 6))
    def race_for_a_version(self, stream: StreamId, count: int) -> None:
        self.race([self.unit(stream, str(number)) for number in range(count)])

    @rule(key=keys)
    def race_for_a_claim(self, key: str) -> None:
        if key not in self.claims:
            self.race([self.unit(stream, "race", take={key: stream}) for stream in STREAMS])

    @rule(stream=streams, text=texts)
    def race_against_itself(self, stream: StreamId, text: str) -> None:
        self.race([self.unit(stream, text)] * PROCESSES)

    def race(self, asked: list[Unit]) -> None:
        """At all processes at once, where only one can be recorded."""
        appending = [self.processes[number % PROCESSES].appender.append(one) for number, one in enumerate(asked)]
        outcomes = self.run(_all(appending))
        ids = {one.commands[0].command_id: one for one in asked}
        recorded = self.run(self.reader.recorded_commands(self.workspace, list(ids)))
        assert len(recorded) == 1
        [winner] = recorded
        told = [not isinstance(outcome, Exception) for outcome in outcomes]
        of_winner = [one.commands[0].command_id == winner for one in asked]
        assert all(is_winner for is_told, is_winner in zip(told, of_winner, strict=True) if is_told)
        self.record(ids[winner])

    @rule(after=st.integers(0, 30), until=st.none() | st.integers(0, 30), limit=st.integers(1, 10))
    def read_a_part(self, after: int, until: int | None, limit: int) -> None:
        events = self.run(self.reader.read(self.workspace, after=after, until=until, limit=limit))
        last = min(after + limit, len(self.log), len(self.log) if until is None else until)
        assert [event.position for event in events] == list(range(after + 1, last + 1))

    @rule(stream=streams, until=st.integers(0, 30))
    def read_a_stream_as_it_was(self, stream: StreamId, until: int) -> None:
        events = self.run(self.reader.read_stream(self.workspace, stream, until=until))
        expected = [text for logged, text in self.log[:until] if logged == stream]
        assert [event.event.description for event in events] == expected
        assert [event.version for event in events] == list(range(1, len(expected) + 1))

    @rule()
    def ask_where_it_stands_now(self) -> None:
        """Whatever is recorded later is recorded at a later time."""
        now = self.run(self._now())
        assert self.run(self.reader.position_at(self.workspace, now)) == len(self.log)
        self.moments[now] = len(self.log)

    @rule()
    def ask_about_the_future(self) -> None:
        with pytest.raises(PositionBeyondHead):
            self.run(self.reader.position_at(self.workspace, datetime.now(UTC) + timedelta(hours=1)))

    async def _now(self) -> datetime:
        async with self.processes[0].pool.connection() as connection:
            row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None
        now: datetime = row[0]
        return now

    @invariant()
    def the_log_is_the_models(self) -> None:
        events = self.run(self.reader.read(self.workspace, after=0))
        assert [event.position for event in events] == list(range(1, len(self.log) + 1))
        assert [(event.stream, event.event.description) for event in events] == self.log
        assert {event.command_id for event in events} == set(self.commands)

    @invariant()
    def claims_have_the_models_holders(self) -> None:
        for key in KEYS:
            assert self.run(self.reader.holder(self.workspace, key)) == self.claims.get(key)
        assert self.run(self.reader.last_claim(self.workspace, NUMBERS)) == self.last_number()

    @invariant()
    def the_head_carries_the_tree_of_the_log(self) -> None:
        head = self.run(self.reader.head(self.workspace))
        published = self.run(
            self.reader.read_published(self.workspace, after=0, until=len(self.log), limit=len(self.log))
        )
        leaves = [merkle.leaf_hash(canonical(envelope)) for envelope, _ in published]
        assert leaves == [leaf for _, leaf in published]
        assert head.position == len(leaves)
        assert merkle.root(merkle.unpack(head.frontier)) == merkle.root_of(leaves)

    @invariant()
    def moments_stay_what_they_were(self) -> None:
        for at, position in self.moments.items():
            assert self.run(self.reader.position_at(self.workspace, at)) == position


def _text(data: bytes) -> str:
    return str(msgspec.json.decode(data, type=PipelineUpdated).description)


async def _all(appending: list[Any]) -> list[Any]:
    return await asyncio.gather(*appending, return_exceptions=True)


@pytest.fixture
def loop_of_its_own() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.timeout(180)
def test_the_store_behaves_like_the_model(
    database: Database, loop_of_its_own: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = Crashes(database.owner_dsn)
    monkeypatch.setattr(writer, "write_and_commit", crashes.write_and_commit)
    known = {"dsn": database.app_dsn, "loop": loop_of_its_own, "crashes": crashes}
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        type("Machine", (StoreMachine,), known),
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
