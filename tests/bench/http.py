"""The whole system over HTTP: commands single and batched, from commit to visible, lists live and as of."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx2

from tests.bench.report import Row, Timings, timed

CLIENTS = 16
COMMANDS = 4_000
BATCHES = 60
BATCH = 100
VISIBLE_SAMPLES = 300
VISIBLE_PER_SECOND = 100
SEEDED = 10_000
LISTS = 600
MARKS = 20
CATCH_UP_SECONDS_MAX = 120


async def measure(url: str, *, bare_per_second: float) -> list[Row]:
    """Rows against a running system; `bare_per_second` is the bare insert rate of this machine with 16 connections."""
    base = f"{url}/v1/workspaces/default"
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx2.AsyncClient(base_url=base, timeout=60, limits=limits) as client:
        single = await many(COMMANDS, CLIENTS, lambda: register(client))
        batched = await many(BATCHES, 4, lambda: register_many(client, BATCH))
        await projected(client, (await register(client))["position"])
        visible = await commit_to_visible(client)
        marks = await seed(client)
        live = await many(LISTS, CLIENTS, lambda: listed(client, {}))
        as_of = await many(LISTS, CLIENTS, lambda: listed(client, {"as_of": random.choice(marks)}))  # noqa: S311
    per_second = batched.per_second * BATCH
    return [
        versus("HTTP command, 16 clients", single, bare_per_second, "commands/s"),
        Row(
            "HTTP batch of 100, 4 clients",
            per_second,
            "commands/s",
            "bare insert, 16 conn",
            per_second / bare_per_second,
            batched.spread,
        ),
        Row(
            "commit to visible, p50", visible.quantile_ms(0.5), "ms", "", None, f"{VISIBLE_PER_SECOND}/s, HTTP included"
        ),
        Row("commit to visible, p99", visible.quantile_ms(0.99), "ms", "", None),
        Row(f"list 20 of {SEEDED:,}+ over HTTP", live.per_second, "requests/s", "", None, live.spread),
        Row(
            f"list 20 of {SEEDED:,}+ as of",
            as_of.per_second,
            "requests/s",
            "the same list, live",
            as_of.per_second / live.per_second,
            as_of.spread,
        ),
    ]


def versus(name: str, timings: Timings, bare_per_second: float, unit: str) -> Row:
    ratio = timings.per_second / bare_per_second
    return Row(name, timings.per_second, unit, "bare insert, 16 conn", ratio, timings.spread)


async def many(count: int, clients: int, call: Callable[[], Awaitable[object]]) -> Timings:
    """Calls by several clients, each waiting for its answer before the next call."""
    each: list[float] = []

    async def work() -> None:
        for _ in range(count // clients):
            await timed(call, each)

    await asyncio.gather(*(call() for _ in range(clients)))
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return Timings(each, time.perf_counter() - started)


async def register(client: httpx2.AsyncClient) -> dict[str, Any]:
    """One small command; a failed one fails the bench."""
    body = {"name": f"bench-{uuid4()}"}
    answer = await client.post("/commands/register-pipeline", json=body, headers={"Idempotency-Key": str(uuid4())})
    answer.raise_for_status()
    receipt: dict[str, Any] = answer.json()
    return receipt


async def register_many(client: httpx2.AsyncClient, count: int) -> int:
    """One batch; answers the position after it."""
    commands = [
        {"name": "register-pipeline", "body": {"name": f"bench-{uuid4()}"}, "id": str(uuid4())} for _ in range(count)
    ]
    answer = await client.post("/commands", json={"commands": commands})
    answer.raise_for_status()
    assert all("receipt" in result for result in answer.json()["results"])
    return int(answer.json()["position"])


async def commit_to_visible(client: httpx2.AsyncClient) -> Timings:
    """From the receipt of a command to the answer of a read that must show it, at a steady rate."""
    each: list[float] = []

    async def sample() -> None:
        receipt = await register(client)
        read = f"/pipelines/{receipt['id']}"
        await timed(lambda: shown(client, read, receipt["position"]), each)

    started = time.perf_counter()
    samples = []
    for number in range(VISIBLE_SAMPLES):
        await asyncio.sleep(max(0.0, started + number / VISIBLE_PER_SECOND - time.perf_counter()))
        samples.append(asyncio.create_task(sample()))
    await asyncio.gather(*samples)
    return Timings(each, time.perf_counter() - started)


async def shown(client: httpx2.AsyncClient, path: str, position: int) -> None:
    (await client.get(path, params={"min_position": position})).raise_for_status()


async def seed(client: httpx2.AsyncClient) -> list[int]:
    """Fills the table that is listed; answers positions spread over its history."""
    marks: list[int] = []
    for number in range(SEEDED // 500):
        position = await register_many(client, 500)
        if number % max(1, SEEDED // 500 // MARKS) == 0:
            marks.append(position)
    await projected(client, position)
    return marks


async def projected(client: httpx2.AsyncClient, position: int) -> None:
    """Waits until the query tables have reached a position, so that one row does not measure another's backlog."""
    async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
        while (await client.get("/pipelines", params={"limit": 1, "min_position": position})).status_code != 200:
            pass


async def listed(client: httpx2.AsyncClient, params: dict[str, Any]) -> None:
    answer = await client.get("/pipelines", params={"limit": 20, **params})
    answer.raise_for_status()
    assert len(answer.json()["items"]) == 20
