"""Projections over HTTP: how far they are, why one stopped, and orders to make tables anew."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from starlette.responses import Response

from commands.handler import CONTROL_NAME
from gateway.answers import answer
from gateway.call import WORKSPACE, Call, parameters, route
from gateway.placements import Placements
from gateway.problems import refused
from gateway.query_routes import limit_of
from gateway.rollback_routes import read
from gateway.services import Services
from ledger.placement import MAIN
from ledger.values import CONTROL_WORKSPACE
from projections.errors import ProjectionOutdated
from projections.pages import LIMIT_MAX, check_limit
from projections.progress import Progress, State, read_progress, urgency

log = structlog.get_logger(__name__)


class RebuildRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to make anew: a kind such as `run` or a table such as `steps`, with all that depends on it; null is all."""

    projection: str | None = None


class RebuildOrdered(msgspec.Struct, frozen=True):
    """The tables that are made anew beside the live ones, and take their place in one transaction."""

    workspace_id: UUID
    tables: list[str]


class NamedProgress(Progress, frozen=True, kw_only=True):
    """With the workspace's name, or null while names cannot be read."""

    workspace: str | None


class ProgressPage(msgspec.Struct, frozen=True):
    """What is stopped first, then what is furthest behind; `states` counts all of them. The workspaces on a PostgreSQL
    that is `away` are not among them."""

    items: list[NamedProgress]
    total: int
    states: dict[State, int]
    away: list[str]


async def list_progress(call: Call) -> Response:
    """Every workspace's projection."""
    limit = check_limit(limit_of(parameters(call, ("limit",))))
    found, away = await progress_everywhere(call.request.app.state.placements)
    names = await _names(call)
    items = [named(each, names) for each in found[:limit]]
    return answer(ProgressPage(items, len(found), dict(Counter(each.state for each in found)), away))


async def show_progress(call: Call) -> Response:
    """One workspace's projection."""
    parameters(call, ())
    found = await read_progress(call.services.pool, call.services.reader, call.workspace_id)
    if not found:
        raise refused("nothing_projected", f"workspace {call.workspace_id} has no events yet")
    return answer(named(found[0], await _names(call)), position=found[0].head)


async def order_rebuild(call: Call) -> Response:
    """Makes tables anew while they go on serving."""
    wanted = await read(call, RebuildRequest)
    tables = await call.services.projector.order_rebuild(
        call.workspace_id, projection=wanted.projection, ordered_by=call.actor.name
    )
    log.info("projection.rebuild_ordered", workspace=str(call.workspace_id), tables=tables, by=call.actor.name)
    return answer(RebuildOrdered(call.workspace_id, tables))


async def progress_everywhere(placements: Placements) -> tuple[list[Progress], list[str]]:
    """Of all workspaces, and the PostgreSQLs that did not say. Raises what the home raises."""
    found: list[Progress] = []
    away = list(placements.away)
    for alias, services in placements.everywhere.items():
        if alias in placements.away:
            continue
        try:
            found += await read_progress(services.pool, services.reader)
        except psycopg.OperationalError:
            if alias == MAIN:
                raise
            away.append(alias)
    return sorted(found, key=urgency), away


def named(progress: Progress, names: dict[UUID, str]) -> NamedProgress:
    return NamedProgress(**msgspec.structs.asdict(progress), workspace=names.get(progress.workspace_id))


async def _names(call: Call) -> dict[UUID, str]:
    """Without them when it is the table of names that is being rebuilt: what people ask here must be answered then."""
    try:
        home: Services = call.request.app.state.services
        found: dict[str, Any] = await home.queries.list(
            CONTROL_WORKSPACE, "workspaces", fields=["id", "name"], limit=LIMIT_MAX
        )
    except ProjectionOutdated:
        return {}
    return {CONTROL_WORKSPACE: CONTROL_NAME, **{row["id"]: row["name"] for row in found["items"]}}


ROUTES = (
    route("/v1/projections", list_progress),
    route(f"{WORKSPACE}/projection", show_progress),
    route(f"{WORKSPACE}/projection/rebuilds", order_rebuild, method="POST"),
)
