"""Costs stay flat: the same work on a small ledger and on a large one, taking turns on the same server."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import NamedTuple
from uuid import uuid4

import msgspec
import uvloop

from projections.projector import Projector
from tests.bench.ledgers import WORKSPACE, Filled, filled
from tests.bench.load import Connection, connected
from tests.bench.orders import Writers
from tests.bench.report import Row, at_least
from tests.bench.stand import Stand
from tests.bench.timings import Timings, driven, one_after_another
from tests.support.gateways import gateway_program
from tests.support.ledgers import open_ledger

CLIENTS = 4
FLAT = at_least(1 / 1.5, of="ratio")
"""Latency on the large ledger within 1.5 times that on the small one."""

NAME = "bench"
BASE = f"/v1/workspaces/{NAME}"


class Request(NamedTuple):
    name: str
    send: Callable[[Connection, int], Awaitable[object]]
    """Told the ledger's size, for a moment in the middle of it."""


def measure(stand: Stand) -> list[Row]:
    """The smallest and the largest size of the scale."""
    small, large = (filled(stand, "mixed", count) for count in (stand.scale.history[0], stand.scale.history[-1]))
    rows = [*appends(stand, small, large)]
    return rows + uvloop.run(requests(stand, small, large))


def appends(stand: Stand, small: Filled, large: Filled) -> list[Row]:
    """Through the store's API."""
    command = [sys.executable, "-m", "tests.bench.producer", "everline"]
    rows: list[Row] = []
    with ExitStack() as stack:
        both = [stack.enter_context(Writers([*command, ledger.database.app_dsn])) for ledger in (small, large)]
        for producers in (1, 16):
            slices: list[list[Timings]] = [[], []]
            for number in range(stand.scale.rounds + 1):
                for at, writers in enumerate(both):
                    timings = writers.run(producers, seconds=stand.scale.slice_seconds)
                    if number:  # the first round warms up
                        slices[at].append(timings)
            pair = (one_after_another(slices[0]), one_after_another(slices[1]))
            rows.append(row(f"append, {producers} producers", pair, (small, large)))
    return rows


async def requests(stand: Stand, small: Filled, large: Filled) -> list[Row]:
    """Through a gateway for each of the two."""
    asked = (
        Request("command over HTTP", register),
        Request("list 20 over HTTP", lambda connection, _: listed(connection, "")),
        Request("list 20 as of the middle over HTTP", as_of_middle),
    )
    async with AsyncExitStack() as stack:
        both = [await opened(stack, ledger) for ledger in (small, large)]
        return [await compared(stand, request, (small, large), both) for request in asked]


async def opened(stack: AsyncExitStack, ledger: Filled, *, clients: int = CLIENTS) -> list[Connection]:
    """Connections to a gateway on a ledger whose tables are there."""
    async with open_ledger(ledger.database.app_dsn) as ledger_:
        projector = Projector(ledger_.pool, ledger_.reader)
        await projector.start()
        await projector.catch_up(WORKSPACE)
    gateway = await stack.enter_async_context(gateway_program(ledger.database))
    connections = await stack.enter_async_context(connected(gateway.url, clients))
    body = msgspec.json.encode({"id": WORKSPACE, "name": NAME})
    (await connections[0].post("/v1/workspaces/control/commands/create-workspace", body)).json()
    return connections


async def compared(stand: Stand, request: Request, sizes: tuple[Filled, Filled], both: list[list[Connection]]) -> Row:
    slices: list[list[Timings]] = [[], []]
    for number in range(stand.scale.rounds + 1):
        for at, connections in enumerate(both):
            timings = await driven(
                lambda client: request.send(connections[client], sizes[at].events),  # noqa: B023 - awaited at once
                CLIENTS,
                seconds=stand.scale.slice_seconds,
            )
            if number:
                slices[at].append(timings)
    return row(request.name, (one_after_another(slices[0]), one_after_another(slices[1])), sizes)


def row(name: str, timings: tuple[Timings, Timings], sizes: tuple[Filled, Filled]) -> Row:
    small, large = (taken.quantile_ms(0.5) for taken in timings)
    return Row(
        f"{name}, {sizes[1].events:,} events, p50",
        large,
        "ms",
        f"{sizes[0].events:,} events",
        small / large,
        f"{timings[0].spread} against {timings[1].spread}",
        FLAT,
    )


async def register(connection: Connection, _: int) -> None:
    body = msgspec.json.encode({"name": f"bench-{uuid4().hex}"})
    (await connection.post(f"{BASE}/commands/register-pipeline", body, {"Idempotency-Key": str(uuid4())})).json()


async def as_of_middle(connection: Connection, events: int) -> None:
    await listed(connection, f"&as_of={events // 2}")


async def listed(connection: Connection, more: str) -> None:
    answer = (await connection.get(f"{BASE}/runs?limit=20&status=failed&sort=-created{more}")).json()
    assert answer["items"], "the list is empty"
