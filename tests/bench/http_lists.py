"""Lists over HTTP by several clients: filtered, sorted, live and as of past moments, at several sizes of the table."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import uvloop

from tests.bench.growth import listed, opened
from tests.bench.ledgers import Filled, filled
from tests.bench.load import Connection
from tests.bench.report import Row, at_least, at_most
from tests.bench.stand import Stand
from tests.bench.timings import Timings, driven, one_after_another

CLIENTS = 16


def measure(stand: Stand) -> list[Row]:
    ledgers = {count: filled(stand, "runs", count) for count in stand.scale.runs}
    return [row for count, ledger in ledgers.items() for row in uvloop.run(rows(stand, count, ledger))]


async def rows(stand: Stand, count: int, ledger: Filled) -> list[Row]:
    """One size of the table; live and past lists take turns."""
    moments = random.Random(count)  # noqa: S311 - the same moments each time

    async def past(connection: Connection) -> None:
        await listed(connection, f"&as_of={moments.randint(ledger.events // 2, ledger.events)}")

    async with AsyncExitStack() as stack:
        connections = await opened(stack, ledger, clients=CLIENTS)
        live, as_of = await in_turns(stand, connections, (lambda connection: listed(connection, ""), past))
    name = f"list 20 of {count:,} runs over HTTP"
    ratio = as_of.per_second / live.per_second
    return [
        Row(name, live.per_second, "requests/s", detail=live.spread, budget=at_least(1_000)),
        Row(f"{name}, p95", live.quantile_ms(0.95), "ms", budget=at_most(10)),
        Row(f"{name}, as of", as_of.per_second, "requests/s", "live", ratio, as_of.spread, at_least(0.5, of="ratio")),
    ]


async def in_turns(
    stand: Stand, connections: list[Connection], requests: tuple[Callable[[Connection], Awaitable[object]], ...]
) -> list[Timings]:
    slices: list[list[Timings]] = [[] for _ in requests]
    for number in range(stand.scale.rounds + 1):
        for at, request in enumerate(requests):
            timings = await driven(
                lambda client: request(connections[client]),  # noqa: B023 - awaited before the next turn
                len(connections),
                seconds=stand.scale.slice_seconds,
            )
            if number:  # the first round warms up
                slices[at].append(timings)
    return [one_after_another(parts) for parts in slices]
