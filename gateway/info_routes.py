"""What the gateway says of itself: alive, ready, who asks, what there is, and its measurements."""

from __future__ import annotations

from importlib.metadata import version

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.answers import answer
from gateway.call import Call, parameters, route
from gateway.problems import refused
from gateway.services import Services
from ledger.values import CONTROL_WORKSPACE

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
    """200 when commands can be recorded and queries are close to the ledger's heads."""
    services: Services = request.app.state.services
    if services.stopping.is_set():
        raise refused("not_ready", "this gateway is stopping")
    heads = await services.reader.heads()
    reached = await services.projector.checkpoints()
    lag = sum(max(0, head - reached.get(workspace, 0)) for workspace, head in heads.items())
    if lag > READY_LAG_EVENTS_MAX:
        raise refused(
            "not_ready",
            f"the query tables are {lag} events behind",
            hint="wait, and see that a projector runs",
            lag_events=lag,
            lag_events_max=READY_LAG_EVENTS_MAX,
        )
    return answer({"status": "ready", "lag_events": lag})


async def show_metrics(request: Request) -> Response:
    """Measurements for Prometheus. While PostgreSQL is away those of this process remain."""
    services: Services = request.app.state.services
    try:
        heads = await services.reader.heads()
        reached = {
            "relay": await services.reader.relayed(),
            "projection": await services.projector.checkpoints(),
        }
    except psycopg.OperationalError:
        heads, reached = {}, {}
    text = services.metrics.exposition(
        queue_depth=services.appender.queue_depth, streams=services.wakeups.listeners, heads=heads, reached=reached
    )
    return Response(text, headers={"Content-Type": EXPOSITION_TYPE})


ROUTES = (
    Route("/health", show_health),
    Route("/ready", show_readiness),
    Route("/metrics", show_metrics),
    route("/v1/info", show_info),
    route("/v1/whoami", show_actor),
)
