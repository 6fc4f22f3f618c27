"""The ledger's events over HTTP: the audit search, and single events by position."""

from __future__ import annotations

from starlette.responses import Response

from gateway.answers import answer
from gateway.call import WORKSPACE, Call, integer, invalid, parameters, route
from gateway.query_routes import MOMENT, limit_of, moment, reflecting

FILTERS = ("actor", "type", "kind", "entity", "since", "until")


async def list_events(call: Call) -> Response:
    """Who did what when, newest first."""
    given = parameters(call, (*MOMENT, *FILTERS, "limit", "cursor"))
    found = await call.services.queries.events(
        call.workspace_id,
        **{name: given.get(name) for name in FILTERS},
        limit=limit_of(given),
        cursor=given.get("cursor"),
        when=moment(given),
    )
    return reflecting(found)


async def show_event(call: Call) -> Response:
    """One event."""
    parameters(call, ())
    position = integer({"position": call.path("position")}, "position")
    if position is None:
        raise invalid("position", "", "name a position")
    found = await call.services.queries.event(call.workspace_id, position)
    return answer(found, position=found["position"])


ROUTES = (
    route(f"{WORKSPACE}/events", list_events),
    route(f"{WORKSPACE}/events/{{position}}", show_event),
)
