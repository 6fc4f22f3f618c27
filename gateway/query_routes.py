"""Queries over HTTP: lists, details, history and counts of every table, and the questions across tables.

The tables are the projections' registry; a path is a table's name with `-` for `_`.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Collection
from typing import Any

from starlette.responses import Response, StreamingResponse

from gateway.answers import LINES_TYPE, POSITION_HEADER, answer, encode_lines
from gateway.call import WORKSPACE, Call, boolean, integer, invalid, parameters, put, route
from gateway.problems import refused
from projections.moments import When
from projections.registry import tables
from projections.table import Table

HIDDEN_TABLES = frozenset({"events", "lineage_edges"})
"""Indexes behind `/events` and `/lineage`, not entities of their own."""

MOMENT = ("as_of", "min_position")
LIST_PARAMETERS = (*MOMENT, "sort", "limit", "cursor", "count", "fields")
LIMIT_DEFAULT = 20
DIFF_LIMIT_DEFAULT = 100
LINEAGE_DEPTH_DEFAULT = 10
CLOSE_MATCHES = 3


def path_of(table: Table) -> str:
    """The table's part of a path."""
    return table.name.replace("_", "-")


def public_tables() -> dict[str, Table]:
    """Every table that has routes, by its path."""
    return {path_of(table): table for name, table in tables().items() if name not in HIDDEN_TABLES}


def table_of(call: Call) -> str:
    """The name of the table in the path. Raises Refused for one that does not exist."""
    path = call.path("table")
    table = public_tables().get(path)
    if table is None:
        close = difflib.get_close_matches(path, public_tables(), n=CLOSE_MATCHES)
        hint = "did you mean " + " or ".join(close) + "?" if close else "see /v1/openapi.json"
        raise refused("unknown_path", f"there is nothing at {call.request.url.path}", hint=hint)
    return table.name


def moment(given: dict[str, str]) -> When:
    """The moment that a query is about."""
    return When(given.get("as_of"), integer(given, "min_position"))


def limit_of(given: dict[str, str], default: int = LIMIT_DEFAULT) -> int:
    limit = integer(given, "limit")
    return default if limit is None else limit


def divided(call: Call, names: Collection[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The query string as (parameters of these names, everything else). Filters may repeat, parameters may not."""
    given: dict[str, str] = {}
    filters: list[tuple[str, str]] = []
    for name, value in call.request.query_params.multi_items():
        if name not in names:
            filters.append((name, value))
        else:
            put(given, name, value)
    return given, filters


def reflecting(found: dict[str, Any], *, version: int | None = None) -> Response:
    """The answer with the position that it reflects."""
    return answer(found, position=found["as_of"]["position"], version=version)


async def list_entities(call: Call) -> Response:
    """A page of a table. Every parameter that is not about the page is a filter, checked by the projections."""
    page, filters = divided(call, LIST_PARAMETERS)
    fields = page.get("fields")
    found = await call.services.queries.list(
        call.workspace_id,
        table_of(call),
        filters=filters,
        sort=page.get("sort"),
        limit=limit_of(page),
        cursor=page.get("cursor"),
        count=boolean(page, "count"),
        fields=None if fields is None else [field.strip() for field in fields.split(",")],
        when=moment(page),
    )
    return reflecting(found)


async def count_entities(call: Call) -> Response:
    """How many rows have each value of a column. An entity that is called `counts` has its detail without `by`."""
    given, filters = divided(call, (*MOMENT, "by"))
    if "by" not in given:
        return await detail(call, ref="counts")
    found = await call.services.queries.counts(
        call.workspace_id, table_of(call), by=given["by"], filters=filters, when=moment(given)
    )
    return reflecting(found)


async def show_entity(call: Call) -> Response:
    """One entity with its children."""
    return await detail(call, ref=call.path("ref"))


async def detail(call: Call, *, ref: str) -> Response:
    given = parameters(call, MOMENT)
    found = await call.services.queries.get(call.workspace_id, table_of(call), ref, when=moment(given))
    return reflecting(found, version=found.get("version"))


async def show_history(call: Call) -> Response:
    """What changed in one entity, newest first."""
    given = parameters(call, (*MOMENT, "limit", "cursor"))
    found = await call.services.queries.history(
        call.workspace_id,
        table_of(call),
        call.path("ref"),
        limit=limit_of(given),
        cursor=given.get("cursor"),
        when=moment(given),
    )
    return reflecting(found)


async def show_lineage(call: Call) -> Response:
    """Where an artifact version comes from and what was made of it."""
    given = parameters(call, (*MOMENT, "direction", "depth"))
    depth = integer(given, "depth")
    found = await call.services.queries.lineage(
        call.workspace_id,
        call.path("ref"),
        direction=given.get("direction", "both"),
        depth=LINEAGE_DEPTH_DEFAULT if depth is None else depth,
        when=moment(given),
    )
    return reflecting(found)


async def show_diff(call: Call) -> Response:
    """What differs between two moments of a workspace: a page of it."""
    found = await diff_page(call, *diff_parameters(call))
    return answer(found, position=found["to"]["position"])


async def stream_diff(call: Call) -> Response:
    """All that differs, a JSON document a line: `from` and `to`, then each entity.

    After every page comes `{"next": cursor}`, from where a connection that broke can be taken up; it is null when
    that was all. Between two pages nothing is held, so a slow reader costs nothing but its connection.
    """
    given, size = diff_parameters(call)
    first = await diff_page(call, given, size)
    headers = {POSITION_HEADER: str(first["to"]["position"]), "Cache-Control": "no-store"}
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type=LINES_TYPE)
    return StreamingResponse(diff_lines(call, given, size, first=first), headers=headers, media_type=LINES_TYPE)


async def diff_lines(call: Call, given: dict[str, str], size: int, *, first: dict[str, Any]) -> AsyncIterator[bytes]:
    """A program that stops ends after a page, which the reader notices by its cursor."""
    yield encode_lines([{"from": first["from"], "to": first["to"]}])
    page = first
    while True:
        yield encode_lines([*page["items"], {"next": page["next"]}])
        if page["next"] is None or call.services.stopping.is_set():
            return
        page = await diff_page(call, {**given, "cursor": page["next"]}, size)


def diff_parameters(call: Call) -> tuple[dict[str, str], int]:
    given = parameters(call, ("from", "to", "kind", "limit", "cursor"))
    if "from" not in given:
        raise invalid("from", "", "name the moment to compare with, a time or a position")
    return given, limit_of(given, DIFF_LIMIT_DEFAULT)


async def diff_page(call: Call, given: dict[str, str], size: int) -> dict[str, Any]:
    return await call.services.queries.diff(
        call.workspace_id,
        before=given["from"],
        after=given.get("to"),
        kind=given.get("kind"),
        limit=size,
        cursor=given.get("cursor"),
    )


ROUTES = (
    route(f"{WORKSPACE}/diff", show_diff),
    route(f"{WORKSPACE}/diff/stream", stream_diff),
    route(f"{WORKSPACE}/artifact-versions/{{ref}}/lineage", show_lineage),
    route(f"{WORKSPACE}/{{table}}", list_entities),
    route(f"{WORKSPACE}/{{table}}/counts", count_entities),
    route(f"{WORKSPACE}/{{table}}/{{ref}}", show_entity),
    route(f"{WORKSPACE}/{{table}}/{{ref}}/history", show_history),
)
