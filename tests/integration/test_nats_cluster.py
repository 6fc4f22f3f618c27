"""A NATS cluster of three: with one server killed, the leader of the stream too, events go on being published; with two
killed, followers read PostgreSQL. Nothing is lost, skipped or repeated, and what was missed is published afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from ledger import broker
from ledger.placement import MAIN
from ledger.postgres.wake import Waker
from ledger.values import new_id
from tests.integration.test_relay import Follower, append, relayed, relaying
from tests.support.ledgers import OpenLedger, open_ledger
from tests.support.nats_cluster import NatsCluster, nats_cluster_in
from tests.support.servers import Database
from tests.support.waiting import until


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    waker = Waker(database.app_dsn)
    await waker.start()
    async with open_ledger(database.app_dsn, observers=(waker,)) as opened:
        yield opened
    await waker.stop()


async def leader(cluster: NatsCluster) -> str | None:
    """The server that leads the stream, if there is one."""
    try:
        client = await broker.connect(cluster.urls, name="test")
    except (NatsError, OSError, TimeoutError):
        return None
    try:
        info = await client.jetstream().stream_info(broker.stream(MAIN))
    except (NatsError, TimeoutError):
        return None
    else:
        assert info.config.num_replicas == 3
        return info.cluster.leader if info.cluster else None
    finally:
        await broker.close(client)


async def published(cluster: NatsCluster) -> int:
    """How many messages the stream holds."""
    client = await broker.connect(cluster.urls, name="test")
    try:
        return int((await client.jetstream().stream_info(broker.stream(MAIN))).state.messages)
    finally:
        await broker.close(client)


@pytest.mark.timeout(180)
async def test_servers_are_killed_while_events_are_written(
    ledger: OpenLedger, database: Database, tmp_path: Path
) -> None:
    workspace = new_id()
    with nats_cluster_in(tmp_path) as cluster:
        async with relaying(database.app_dsn, cluster.urls, nats_replicas=3):
            follower = Follower(ledger, database.app_dsn, cluster.urls)
            await append(ledger, workspace, 100)
            await follower.reached(workspace, 100)
            await relayed(ledger, workspace, 100, epoch=1)
            led = await until(lambda: leader(cluster))
            assert led is not None
            await asyncio.to_thread(cluster.servers[led].kill)
            await append(ledger, workspace, 100)
            await follower.reached(workspace, 200)
            await relayed(ledger, workspace, 200, epoch=1)
            assert await published(cluster) == 200
            second = next(name for name in cluster.servers if name != led)
            await asyncio.to_thread(cluster.servers[second].kill)
            await append(ledger, workspace, 100)
            await follower.reached(workspace, 300)
            for name in (led, second):
                await asyncio.to_thread(cluster.servers[name].start)
            await relayed(ledger, workspace, 300, epoch=1)
            await append(ledger, workspace, 100)
            assert await follower.reached(workspace, 400) == list(range(1, 401))
            await relayed(ledger, workspace, 400, epoch=1)
            assert await published(cluster) == 400
            await follower.stop()


async def test_a_server_that_is_away_is_passed_over(nats_url: str) -> None:
    for _ in range(5):
        client = await broker.connect(f"nats://127.0.0.1:9, {nats_url}", name="test")
        assert client.is_connected
        await broker.close(client)
    with pytest.raises(NoServersError):
        await broker.connect("nats://127.0.0.1:9,nats://localhost:9", name="test")
