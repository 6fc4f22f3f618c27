"""From commit to follower: relay, JetStream and subscription on real servers, and what happens when a part is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger import broker
from ledger.envelope import RecordedEvent
from ledger.postgres.wake import Waker
from ledger.relay import Relay
from ledger.subscription import Subscription
from ledger.values import new_id
from runners import relay
from runners.settings import WorkerSettings
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.servers import Database, Server, nats_in

FOLLOW_SECONDS = 30


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    waker = Waker(database.app_dsn)
    await waker.start()
    async with open_ledger(database.app_dsn, observers=(waker,)) as opened:
        yield opened
    await waker.stop()


@asynccontextmanager
async def relaying(dsn: str, nats_url: str, **settings: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run(WorkerSettings(dsn=dsn, nats_url=nats_url, **settings)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Follower:
    """Collects the positions of one workspace as a subscription delivers them."""

    def __init__(self, ledger: OpenLedger, dsn: str, nats_url: str | None) -> None:
        self.positions: dict[UUID, list[int]] = {}
        self._subscription = Subscription(ledger.reader, dsn=dsn, nats_url=nats_url)
        self._moved = asyncio.Condition()
        self._task = asyncio.create_task(self._follow())

    async def reached(self, workspace: UUID, position: int) -> list[int]:
        async with asyncio.timeout(FOLLOW_SECONDS), self._moved:
            await self._moved.wait_for(lambda: (self.positions.get(workspace) or [0])[-1] >= position)
        return self.positions[workspace]

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        async for batch in self._subscription.batches({}):
            await self._take(batch)

    async def _take(self, batch: list[RecordedEvent]) -> None:
        async with self._moved:
            self.positions.setdefault(batch[0].workspace_id, []).extend(event.position for event in batch)
            self._moved.notify_all()


async def append(ledger: OpenLedger, workspace: UUID, count: int) -> None:
    await asyncio.gather(*(ledger.appender.append(unit(workspace, a_pipeline(str(n)))) for n in range(count)))


async def test_a_follower_sees_every_position_once_and_in_order(
    ledger: OpenLedger, database: Database, nats_url: str
) -> None:
    workspace = new_id()
    await append(ledger, workspace, 50)
    async with relaying(database.app_dsn, nats_url):
        follower = Follower(ledger, database.app_dsn, nats_url)
        await follower.reached(workspace, 50)
        await append(ledger, workspace, 500)
        assert await follower.reached(workspace, 550) == list(range(1, 551))
        await follower.stop()


async def test_without_a_broker_a_follower_reads_postgres(ledger: OpenLedger, database: Database) -> None:
    workspace = new_id()
    follower = Follower(ledger, database.app_dsn, "nats://127.0.0.1:9")
    await append(ledger, workspace, 120)
    assert await follower.reached(workspace, 120) == list(range(1, 121))
    await follower.stop()


async def test_messages_carry_the_stored_envelope(ledger: OpenLedger, database: Database, nats_url: str) -> None:
    workspace = new_id()
    client = await broker.connect(nats_url, name="test")
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: object) -> None:
        await received.put(message.data)  # type: ignore[attr-defined]

    await client.subscribe(f"everline.main.{workspace.hex}.>", cb=take)
    async with relaying(database.app_dsn, nats_url):
        await append(ledger, workspace, 1)
        async with asyncio.timeout(FOLLOW_SECONDS):
            message = await received.get()
    from ledger import merkle

    [event] = await ledger.reader.read(workspace, after=0)
    assert merkle.leaf_hash(message) == event.leaf_hash
    await client.close()


async def test_a_relay_that_stood_still_moves_no_checkpoint_back(ledger: OpenLedger, nats_url: str) -> None:
    workspace = new_id()
    client = await broker.connect(nats_url, name="test")
    try:
        still, other = (Relay(ledger.pool, ledger.reader, client.jetstream()) for _ in range(2))
        await still.start()
        await other.start()
        for number in range(3):
            await ledger.appender.append(unit(workspace, a_pipeline(str(number))))
        await other.catch_up({workspace})
        await still._advance(workspace, position=1, epoch=1)  # what it published before it was stopped
        assert await ledger.reader.relayed() == {workspace: 3}
        assert await still.catch_up({workspace}) == 0
    finally:
        await broker.close(client)


async def test_a_killed_broker_and_a_lost_stream_cost_nothing(
    ledger: OpenLedger, database: Database, tmp_path: Path
) -> None:
    workspace = new_id()
    with nats_in(tmp_path) as (url, server):
        async with relaying(database.app_dsn, url):
            follower = Follower(ledger, database.app_dsn, url)
            await append(ledger, workspace, 100)
            await follower.reached(workspace, 100)
            await relayed(ledger, workspace, 100, epoch=1)
            await asyncio.to_thread(server.kill)
            await append(ledger, workspace, 100)
            await follower.reached(workspace, 200)
            await asyncio.to_thread(partial(lose_jetstream, tmp_path, server))
            await append(ledger, workspace, 100)
            assert await follower.reached(workspace, 300) == list(range(1, 301))
            await relayed(ledger, workspace, 300, epoch=2)
            await follower.stop()


def lose_jetstream(root: Path, server: Server) -> None:
    """The broker comes back without its directory."""
    import shutil

    for directory in root.rglob("jetstream"):
        shutil.rmtree(directory)
    server.start()


async def relayed(ledger: OpenLedger, workspace: UUID, position: int, *, epoch: int) -> None:
    """Waits until the relay's checkpoint is there; a stream that was filled again has a new epoch."""
    async with asyncio.timeout(FOLLOW_SECONDS):
        while True:
            async with ledger.pool.connection() as connection:
                cursor = await connection.execute(
                    "SELECT position, epoch FROM ledger.relays WHERE workspace_id = %s", (workspace,)
                )
                row = await cursor.fetchone()
            if row == (position, epoch):
                return
            await asyncio.sleep(0.05)


async def test_a_workspace_that_is_paused_is_left_out_until_it_is_resumed(
    ledger: OpenLedger, database: Database
) -> None:
    flooded, quiet = new_id(), new_id()
    subscription = Subscription(ledger.reader, dsn=database.app_dsn, nats_url=None)
    subscription.pause(flooded)
    batches = subscription.batches({})
    try:
        async with asyncio.timeout(FOLLOW_SECONDS):
            await append(ledger, flooded, 3)
            await append(ledger, quiet, 2)
            seen = 0
            while seen < 2:
                batch = await anext(batches)
                assert batch[0].workspace_id == quiet
                seen += len(batch)
            subscription.resume(flooded, 1)
            assert [event.position for event in await anext(batches)] == [2, 3]
    finally:
        await batches.aclose()
