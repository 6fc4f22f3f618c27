"""The pieces of the OpenAPI document that no struct describes: rows of tables, shared answers, parameters, headers."""

from __future__ import annotations

from typing import Any

from gateway.problems import RETRYABLE, STATUS_BY_CODE
from projections.table import Column, ColumnType, Table

JsonObject = dict[str, Any]

TEXT: JsonObject = {"type": "string"}
NUMBER: JsonObject = {"type": "integer"}
UUID: JsonObject = {"type": "string", "format": "uuid"}
TIME: JsonObject = {"type": "string", "format": "date-time"}
CURSOR: JsonObject = {"type": ["string", "null"], "description": "pass it as `cursor` for the next page"}
ANYTHING: JsonObject = {}

COLUMN_SCHEMAS: dict[ColumnType, JsonObject] = {
    "text": {"type": ["string", "null"]},
    "uuid": {"type": ["string", "null"], "format": "uuid"},
    "int": {"type": ["integer", "null"]},
    "float": {"type": ["number", "null"]},
    "bool": {"type": ["boolean", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "json": ANYTHING,
    "text_list": {"type": "array", "items": TEXT},
}
ALWAYS_THERE = frozenset({"id", "created_position", "created_at", "created_by"})


def ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def response_ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/responses/{name}"}


def an_object(required: JsonObject, **optional: JsonObject) -> JsonObject:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def list_of(item: JsonObject) -> JsonObject:
    return {"type": "array", "items": item}


def row(table: Table) -> JsonObject:
    """One row of a table; with `fields`, only those that were asked for are there."""
    columns = table.shown()
    return {"type": "object", "properties": {column.name: column_schema(column) for column in columns}}


def column_schema(column: Column) -> JsonObject:
    schema = COLUMN_SCHEMAS[column.type]
    if column.name in ALWAYS_THERE:
        return {**schema, "type": schema["type"][0]}
    return schema


def page_of(item: JsonObject) -> JsonObject:
    return an_object(
        {"items": list_of(item), "next": CURSOR, "as_of": ref("Moment")},
        total={"type": ["integer", "null"], "description": "only with `count=true`"},
    )


def detail_of(item: JsonObject) -> JsonObject:
    """A row with `as_of` and with lists of children, each as {items, total}."""
    return {"allOf": [item, an_object({"as_of": ref("Moment")})]}


CHANGE = an_object({"field": TEXT, "from": ANYTHING, "to": ANYTHING})
CHANGES = list_of(CHANGE)


def shared() -> JsonObject:
    """Schemas that several answers use."""
    return {
        "Moment": an_object({"position": NUMBER, "time": {"type": ["string", "null"], "format": "date-time"}}),
        "Change": CHANGE,
        "Problem": problem(),
        "Event": event(),
        "BatchAnswer": an_object(
            {
                "results": list_of(
                    {"oneOf": [an_object({"receipt": ref("Receipt")}), an_object({"problem": ref("Problem")})]}
                ),
                "position": NUMBER,
            }
        ),
        "Counts": an_object({"counts": {"type": "object", "additionalProperties": NUMBER}, "as_of": ref("Moment")}),
        "History": history(),
        "Diff": diff(),
        "Lineage": lineage(),
        "RollbackPlan": rollback_plan(),
        "Info": an_object(
            {
                "version": TEXT,
                "actor": TEXT,
                "workspaces": list_of(an_object({"id": UUID, "name": TEXT})),
                "workspaces_total": NUMBER,
                "default_workspace": TEXT,
            }
        ),
        "Actor": an_object({"actor": TEXT}),
    }


def problem() -> JsonObject:
    """RFC 9457, with the fields of the refusal beside the standard members."""
    described = an_object(
        {
            "type": {"type": "string", "format": "uri"},
            "title": TEXT,
            "status": NUMBER,
            "detail": TEXT,
            "code": {"type": "string", "enum": sorted(STATUS_BY_CODE)},
            "hint": {"type": "string", "description": "what to do next; may be empty"},
            "retryable": {"type": "boolean", "description": "true for " + ", ".join(sorted(RETRYABLE))},
            "request_id": TEXT,
        }
    )
    return {**described, "additionalProperties": True}


def event() -> JsonObject:
    return an_object(
        {
            "position": NUMBER,
            "type": TEXT,
            "schema": NUMBER,
            "stream": {"type": "string", "description": "kind/id"},
            "version": NUMBER,
            "actor": TEXT,
            "command_id": UUID,
            "correlation_id": UUID,
            "causation_id": {"type": ["string", "null"], "format": "uuid"},
            "occurred_at": TIME,
            "recorded_at": TIME,
            "data": {"type": "object"},
        },
        event_id=UUID,
        leaf_hash={"type": "string", "description": "SHA-256 of the canonical envelope (RFC 6962 leaf), hex"},
        entity_name={"type": ["string", "null"]},
    )


def history() -> JsonObject:
    version = an_object(
        {
            "position": NUMBER,
            "recorded_at": TIME,
            "actor": TEXT,
            "types": list_of(TEXT),
            "command_id": UUID,
            "changes": CHANGES,
        }
    )
    about = {"id": UUID, "kind": TEXT, "name": {"type": ["string", "null"]}}
    return an_object({**about, "items": list_of(version), "next": CURSOR, "as_of": ref("Moment")})


def diff() -> JsonObject:
    entity = an_object(
        {
            "kind": TEXT,
            "id": UUID,
            "name": {"type": ["string", "null"]},
            "change": {"enum": ["created", "changed", "deleted"]},
            "changes": CHANGES,
        }
    )
    return an_object({"items": list_of(entity), "next": CURSOR, "from": ref("Moment"), "to": ref("Moment")})


def lineage() -> JsonObject:
    node = an_object({"id": UUID, "type": {"enum": ["artifact_version", "step"]}, "name": {"type": ["string", "null"]}})
    edge = an_object({"from": UUID, "to": UUID, "name": TEXT})
    return an_object(
        {
            "root": UUID,
            "nodes": list_of(node),
            "edges": list_of(edge),
            "truncated": {"type": "boolean", "description": "true when a bound cut the graph"},
            "as_of": ref("Moment"),
        }
    )


def rollback_plan() -> JsonObject:
    entity = an_object(
        {
            "entity": {"type": "string", "description": "kind/id"},
            "version": NUMBER,
            "changes": CHANGES,
            "commands": list_of(an_object({"name": TEXT, "body": {"type": "object"}})),
        }
    )
    return an_object(
        {
            "plan_id": {"type": "string", "description": "digest of what would be done"},
            "to_position": NUMBER,
            "planned_at_position": NUMBER,
            "entities": list_of(entity),
            "not_undone": list_of(an_object({"entity": TEXT, "reason": TEXT})),
        }
    )
