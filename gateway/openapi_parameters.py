"""Parameters and headers of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from projections.table import Column

JsonObject = dict[str, Any]

OPERATORS = "equals notequals contains startswith endswith oneof notoneof notcontains isnull isnotnull gte gt lte lt in"
LIMIT_MAX = 1_000
MOMENT_PARAMETERS = ["as_of", "min_position"]
LIST_PARAMETERS = ["sort", "limit", "cursor", "count", "fields", *MOMENT_PARAMETERS]
EVENT_FILTERS = ["actor", "type", "kind", "entity", "since", "until"]

_TEXT: JsonObject = {"type": "string"}
_POSITION: JsonObject = {"type": "integer", "minimum": 0}


def _query(name: str, description: str, *, schema: JsonObject = _TEXT, required: bool = False) -> JsonObject:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _path(name: str, description: str, *, schema: JsonObject = _TEXT) -> JsonObject:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _header(name: str, description: str) -> JsonObject:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": _TEXT}


PARAMETERS: JsonObject = {
    "workspace": _path("workspace", "name or id of the workspace; `control` is the control ledger"),
    "ref": _path("ref", "name, id, or unambiguous beginning of the id; versions also as `parent@number`"),
    "position": _path("position", "position of the event", schema={"type": "integer", "minimum": 1}),
    "as_of": _query("as_of", "RFC 3339 time or position; absent means now"),
    "min_position": _query("min_position", "wait (bounded) until this position is reflected", schema=_POSITION),
    "sort": _query("sort", "a column, or -column for descending; newest first when absent"),
    "limit": _query("limit", "how many", schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}),
    "cursor": _query("cursor", "`next` of the page before"),
    "count": _query("count", "count all that match", schema={"type": "boolean", "default": False}),
    "fields": _query("fields", "columns to answer, separated by commas"),
    "by": _query("by", "the column to count by", required=True),
    "actor": _query("actor", "who did it"),
    "type": _query("type", "an event type such as run.started, or run.*"),
    "kind": _query("kind", "a kind of entity"),
    "entity": _query("entity", "kind/name or kind/id"),
    "since": _query("since", "from this moment on, inclusive"),
    "until": _query("until", "up to this moment, inclusive"),
    "from": _query("from", "the earlier moment, a time or a position", required=True),
    "to": _query("to", "the later moment; absent means now"),
    "direction": _query("direction", "which way", schema={"enum": ["up", "down", "both"], "default": "both"}),
    "depth": _query("depth", "how many steps away", schema={"type": "integer", "minimum": 1}),
    "after": _query("after", "the position after which to start; absent means now", schema=_POSITION),
    "last_event_id": _header("Last-Event-ID", "the last position that was seen; wins over `after`"),
    "idempotency_key": _header(
        "Idempotency-Key", "the command id, a UUID; any other text stands for a UUID derived from it"
    ),
    "if_match": _header("If-Match", 'the version that the entity must have, such as "3" with its quotes'),
}

HEADER_NAMES = {"position": "Everline-Position", "etag": "ETag"}
HEADERS: JsonObject = {
    "position": {"description": "the position of the ledger that the answer reflects", "schema": _POSITION},
    "etag": {"description": "the entity's version, for If-Match", "schema": _TEXT},
}


def parameter(item: str | JsonObject) -> JsonObject:
    """A parameter by its name in `components`, or as it is."""
    return {"$ref": f"#/components/parameters/{item}"} if isinstance(item, str) else item


def filter_parameter(column: Column) -> JsonObject:
    """A column as a filter; several filters on one column must all hold."""
    described = f"filter by {column.name} ({column.type}): `operator:value`, a bare value means equals. {OPERATORS}"
    if column.type == "json":
        described += f"; `{column.name}.path` filters by what lies inside"
    return {
        "name": column.name,
        "in": "query",
        "required": False,
        "description": described,
        "style": "form",
        "explode": True,
        "schema": {"type": "array", "items": _TEXT},
    }
