"""What the gateway says of itself: alive, ready, who asks, what there is, and its measurements."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.metadata import version
from typing import NamedTuple
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.answers import answer
from gateway.call import Call, parameters, route
from gateway.placements import Placements
from gateway.problems import refused
from gateway.projection_routes import progress_everywhere
from gateway.services import Services
from ledger.placement import MAIN
from ledger.postgres.proofs import ProofReader
from ledger.values import CONTROL_WORKSPACE, Position

DEFAULT_WORKSPACE = "default"
WORKSPACES_SHOWN_MAX = 1_000
READY_LAG_EVENTS_MAX = 10_000
"""A gateway whose query tables are further behind than this sends people elsewhere."""

EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def show_info(call: Call) -> Response:
    """The program's version, who asks, and the workspaces."""
    parameters(call, ())
    found = await call.services.queries.list(
        CONTROL_WORKSPACE, "workspaces", sort="name", limit=WORKSPACES_SHOWN_MAX, count=True
    )
    return answer(
        {
            "version": version("everline"),
            "actor": call.actor.name,
            "workspaces": [{"id": row["id"], "name": row["name"]} for row in found["items"]],
            "workspaces_total": found["total"],
            "default_workspace": DEFAULT_WORKSPACE,
        },
        position=found["as_of"]["position"],
    )


async def show_actor(call: Call) -> Response:
    """Who asks."""
    parameters(call, ())
    head = await call.services.reader.head(CONTROL_WORKSPACE)
    return answer({"actor": call.actor.name}, position=head.position)


async def show_health(request: Request) -> Response:  # noqa: ARG001 - a Starlette endpoint
    """The process lives."""
    return answer({"status": "alive"})


async def show_readiness(request: Request) -> Response:
    """200 when commands can be recorded and queries are close to the ledger's heads. A PostgreSQL beside the home that
    is away is named: its workspaces wait, the others are served."""
    placements: Placements = request.app.state.placements
    if request.app.state.services.stopping.is_set():
        raise refused("not_ready", "this gateway is stopping")
    found = await measured(placements)
    lag = sum(max(0, head - found.reached["projection"].get(workspace, 0)) for workspace, head in found.heads.items())
    if lag > READY_LAG_EVENTS_MAX:
        raise refused(
            "not_ready",
            f"the query tables are {lag} events behind",
            hint="wait, and see that a projector runs",
            lag_events=lag,
            lag_events_max=READY_LAG_EVENTS_MAX,
        )
    return answer({"status": "ready", "lag_events": lag, "away": found.away})


async def show_metrics(request: Request) -> Response:
    """Measurements for Prometheus. While PostgreSQL is away those of this process remain."""
    placements: Placements = request.app.state.placements
    try:
        found = await measured(placements)
        projected, _ = await progress_everywhere(placements)
    except psycopg.OperationalError:
        found, projected = Measured({}, {"relay": {}, "sealer": {}}, [], Counter()), []
    everywhere = placements.everywhere.values()
    text = request.app.state.services.metrics.exposition(
        queue_depth=sum(services.appender.queue_depth for services in everywhere),
        streams=sum(services.wakeups.listeners for services in everywhere),
        heads=found.heads,
        relayed=found.reached["relay"],
        projected=projected,
        sealed=found.reached["sealer"],
        seal_refused=found.seal_refused,
    )
    return Response(text, headers={"Content-Type": EXPOSITION_TYPE})


class Measured(NamedTuple):
    """Where the ledgers stand, and how far their readers are; and the PostgreSQLs that did not say."""

    heads: dict[UUID, Position]
    reached: dict[str, dict[UUID, Position]]
    away: list[str]
    seal_refused: Counter[str]


async def measured(placements: Placements) -> Measured:
    """Every PostgreSQL is asked at once. Raises what the home raises; one beside it that is away is named."""
    found = Measured({}, {"relay": {}, "projection": {}, "sealer": {}}, [], Counter())

    async def ask(services: Services) -> None:
        try:
            found.heads.update(await services.reader.heads())
            found.reached["relay"].update(await services.reader.relayed())
            found.reached["projection"].update(await services.projector.checkpoints())
            proofs = ProofReader(services.pool)
            found.reached["sealer"].update(await proofs.sealed())
            found.seal_refused.update(await proofs.refusals())
        except psycopg.OperationalError:
            if services.alias == MAIN:
                raise
            found.away.append(services.alias)

    found.away.extend(placements.away)
    await asyncio.gather(*(ask(one) for alias, one in placements.everywhere.items() if alias not in placements.away))
    return found


ROUTES = (
    Route("/health", show_health),
    Route("/ready", show_readiness),
    Route("/metrics", show_metrics),
    route("/v1/info", show_info),
    route("/v1/whoami", show_actor),
)
