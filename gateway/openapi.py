"""The OpenAPI 3.1 document, built from the same registries as the routes: commands, tables, problem codes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from commands.registry import public_command_types
from commands.rollback_plan import Applied
from commands.submission import BATCH_MAX, Receipt
from gateway import openapi_parameters as parameters
from gateway import openapi_proofs as proofs
from gateway import openapi_schemas as schemas
from gateway.answers import LINES_TYPE
from gateway.command_routes import Batch
from gateway.problems import PROBLEM_TYPE, STATUS_BY_CODE
from gateway.projection_routes import NamedProgress, ProgressPage, RebuildOrdered, RebuildRequest
from gateway.query_routes import public_tables
from gateway.rollback_routes import ApplyRequest, CheckRequest, PlanRequest
from gateway.witness_routes import Watched, WatchRequest
from projections.compare import Comparison
from projections.table import Table

JsonObject = dict[str, Any]
WORKSPACE = "/v1/workspaces/{workspace}"
REF_TEMPLATE = "#/components/schemas/{name}"


@cache
def document() -> JsonObject:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Everline",
            "version": version("everline"),
            "description": "The system of record for machine-learning work. Every query can be asked as of any moment.",
        },
        "paths": {
            **command_paths(),
            **ledger_paths(),
            **proof_paths(),
            **witness_paths(),
            **rollback_paths(),
            **projection_paths(),
            **table_paths(),
            **program_paths(),
        },
        "components": {
            "schemas": {**struct_schemas(), **schemas.shared(), **proofs.SCHEMAS, **row_schemas()},
            "parameters": {**parameters.PARAMETERS, **proofs.PARAMETERS},
            "headers": parameters.HEADERS,
            "responses": problem_responses(),
        },
    }


def struct_schemas() -> JsonObject:
    """The schemas of every message that is a struct."""
    commands = [command for command, _ in public_command_types().values()]
    others = [Receipt, Batch, PlanRequest, ApplyRequest, Applied, CheckRequest, Comparison, WatchRequest, Watched]
    others += [NamedProgress, ProgressPage, RebuildOrdered, RebuildRequest]
    _, components = msgspec.json.schema_components([*commands, *others], ref_template=REF_TEMPLATE)
    return dict(components)


def schema_of(message: type) -> JsonObject:
    """A reference to a struct's schema, under the name that it got in `struct_schemas`."""
    (reference,), _ = msgspec.json.schema_components([message], ref_template=REF_TEMPLATE)
    return dict(reference)


def command_paths() -> JsonObject:
    """A path for each command, and the batch."""
    paths: JsonObject = {
        f"{WORKSPACE}/commands": {
            "post": operation(
                "submit_batch",
                f"Up to {BATCH_MAX} commands in order; with `atomic`, all or none",
                tag="commands",
                takes=["workspace", "idempotency_key"],
                body=schema_of(Batch),
                answer=schemas.ref("BatchAnswer"),
            )
        }
    }
    for name, (command, decider) in public_command_types().items():
        own = command.__dict__.get("__doc__")
        paths[f"{WORKSPACE}/commands/{name}"] = {
            "post": operation(
                name.replace("-", "_"),
                name.replace("-", " ").capitalize(),
                tag=decider.KIND,
                takes=["workspace", "idempotency_key", "if_match"],
                body=schema_of(command),
                answer=schema_of(Receipt),
                description=" ".join(f"{own or ''} Needs the permission `{command.permission}`.".split()),
                headers=["position", "etag"],
            )
        }
    return paths


def table_paths() -> JsonObject:
    """List, detail, history and counts of every table."""
    paths: JsonObject = {}
    for path, table in public_tables().items():
        row, name, title = schemas.ref(row_name(table)), table.name, table.name.replace("_", " ")
        filters = [parameters.filter_parameter(column) for column in table.shown()]
        at = f"{WORKSPACE}/{path}"
        paths[at] = get(
            f"list_{name}",
            f"A page of {title}",
            tag=table.kind,
            takes=["workspace", *parameters.LIST_PARAMETERS, *filters],
            answer=schemas.page_of(row),
        )
        paths[f"{at}/counts"] = get(
            f"count_{name}",
            f"How many {title} have each value of a column",
            tag=table.kind,
            takes=["workspace", "by", *parameters.MOMENT_PARAMETERS, *filters],
            answer=schemas.ref("Counts"),
        )
        paths[f"{at}/{{ref}}"] = get(
            f"show_{name}",
            f"One of the {title}, with its children",
            tag=table.kind,
            takes=["workspace", "ref", *parameters.MOMENT_PARAMETERS],
            answer=schemas.detail_of(row),
            headers=["position", "etag"],
        )
        paths[f"{at}/{{ref}}/history"] = get(
            f"history_of_{name}",
            f"What changed in one of the {title}, newest first",
            tag=table.kind,
            takes=["workspace", "ref", "limit", "cursor", *parameters.MOMENT_PARAMETERS],
            answer=schemas.ref("History"),
        )
    return paths


def ledger_paths() -> JsonObject:
    """Events, the live stream, and the questions across tables."""
    return {
        f"{WORKSPACE}/events": get(
            "list_events",
            "Who did what when, newest first",
            tag="event",
            takes=["workspace", *parameters.EVENT_FILTERS, "limit", "cursor", *parameters.MOMENT_PARAMETERS],
            answer=schemas.page_of(schemas.ref("Event")),
        ),
        f"{WORKSPACE}/events/{{position}}": get(
            "show_event",
            "One event",
            tag="event",
            takes=["workspace", "position"],
            answer=schemas.ref("Event"),
        ),
        f"{WORKSPACE}/stream": {"get": stream_operation()},
        f"{WORKSPACE}/diff": get(
            "show_diff",
            "What differs between two moments",
            tag="moment",
            takes=["workspace", "from", "to", "kind", "limit", "cursor"],
            answer=schemas.ref("Diff"),
        ),
        f"{WORKSPACE}/diff/stream": {"get": diff_stream_operation()},
        f"{WORKSPACE}/artifact-versions/{{ref}}/lineage": get(
            "show_lineage",
            "Where an artifact version comes from and what was made of it",
            tag="artifact_version",
            takes=["workspace", "ref", "direction", "depth", *parameters.MOMENT_PARAMETERS],
            answer=schemas.ref("Lineage"),
        ),
    }


def proof_paths() -> JsonObject:
    """Checkpoints, tiles and proofs: of a workspace's log, and of the deployment's own."""
    paths: JsonObject = {
        "/v1/log/workspaces": get(
            "list_logs",
            "How far every workspace's log is sealed",
            tag="proof",
            takes=["limit", "cursor"],
            answer=schemas.ref("LogPage"),
        )
    }
    for prefix, suffix, takes in ((f"{WORKSPACE}/log", "", ["workspace"]), ("/v1/log", "_of_deployment", [])):
        for path, name, summary, also, answer in proofs.OPERATIONS:
            is_media_type = "/" in answer
            found = operation(
                name + suffix,
                summary,
                tag="proof",
                takes=[*takes, *also],
                answer=schemas.TEXT if is_media_type else schemas.ref(answer),
                headers=[],
            )
            if is_media_type:
                found["responses"]["200"]["content"] = {answer: {"schema": schemas.TEXT}}
            paths[prefix + path] = {"get": found}
    return paths


def witness_paths() -> JsonObject:
    """Watching other deployments."""
    added = operation(
        "add_checkpoint",
        "Witness a checkpoint that extends the last one",
        tag="witness",
        takes=[],
        answer=schemas.TEXT,
        headers=[],
        description="C2SP tlog-witness: `old <size>`, proof lines, an empty line, a checkpoint; answers a cosignature.",
    )
    added["requestBody"] = {"required": True, "content": {"text/plain": {"schema": schemas.TEXT}}}
    added["responses"]["200"]["content"] = {"text/plain": {"schema": schemas.TEXT}}
    watch: JsonObject = {
        "tag": "witness",
        "takes": [],
        "body": schema_of(WatchRequest),
        "answer": schema_of(Watched),
        "headers": [],
    }
    page: JsonObject = {"tag": "witness", "answer": schemas.ref("WitnessedPage"), "headers": []}
    return {
        "/v1/witness/add-checkpoint": {"post": added},
        "/v1/witness/deployments": {"post": operation("watch_deployment", "Watch a deployment's logs", **watch)},
        "/v1/witness/checkpoints": get("list_witnessed", "What was seen last", takes=["limit", "cursor"], **page),
        "/v1/witness/refused": get("list_refused", "Evidence of rewritten histories", takes=["limit"], **page),
    }


def rollback_paths() -> JsonObject:
    """Planning and applying a rollback, and the replay check."""
    return {
        f"{WORKSPACE}/rollbacks/plan": {
            "post": operation(
                "plan_rollback",
                "What a rollback would do; changes nothing",
                tag="rollback",
                takes=["workspace"],
                body=schema_of(PlanRequest),
                answer=schemas.ref("RollbackPlan"),
            )
        },
        f"{WORKSPACE}/rollbacks/apply": {
            "post": operation(
                "apply_rollback",
                "Does what a plan says, if a new plan still says the same",
                tag="rollback",
                takes=["workspace", "idempotency_key"],
                body=schema_of(ApplyRequest),
                answer=schema_of(Applied),
            )
        },
        f"{WORKSPACE}/replay-checks": {
            "post": operation(
                "check_replay",
                "Replays the ledger beside the live tables and compares them",
                tag="moment",
                takes=["workspace"],
                body=schema_of(CheckRequest),
                answer=schema_of(Comparison),
            )
        },
    }


def projection_paths() -> JsonObject:
    """How far the query tables are, and orders to make them anew."""
    return {
        "/v1/projections": get(
            "list_projections",
            "How far the query tables of every workspace are, what is stopped first",
            tag="projection",
            takes=["limit"],
            answer=schema_of(ProgressPage),
        ),
        f"{WORKSPACE}/projection": get(
            "show_projection",
            "How far the query tables of a workspace are",
            tag="projection",
            takes=["workspace"],
            answer=schema_of(NamedProgress),
        ),
        f"{WORKSPACE}/projection/rebuilds": {
            "post": operation(
                "order_rebuild",
                "Makes the tables of one projection, or all, anew beside the live ones and swaps them in",
                tag="projection",
                takes=["workspace"],
                body=schema_of(RebuildRequest),
                answer=schema_of(RebuildOrdered),
            )
        },
    }


def program_paths() -> JsonObject:
    """What the gateway says of itself."""
    text = {"200": {"description": "Prometheus' text format", "content": {"text/plain": {"schema": schemas.TEXT}}}}
    status = {"type": "object", "properties": {"status": schemas.TEXT}, "required": ["status"]}
    metrics = {"operationId": "show_metrics", "summary": "Measurements", "tags": ["program"], "responses": text}
    return {
        "/v1/info": get("show_info", "What there is", tag="program", takes=[], answer=schemas.ref("Info")),
        "/v1/whoami": get("show_actor", "Who asks", tag="program", takes=[], answer=schemas.ref("Actor")),
        "/health": get("show_health", "The process lives", tag="program", takes=[], answer=status),
        "/ready": get("show_readiness", "Requests can be served", tag="program", takes=[], answer=status),
        "/metrics": {"get": metrics},
    }


def get(operation_id: str, summary: str, **about: Any) -> JsonObject:
    """A path that is only read."""
    return {"get": operation(operation_id, summary, **about)}


def operation(
    operation_id: str,
    summary: str,
    *,
    tag: str,
    takes: list[str | JsonObject],
    answer: JsonObject,
    body: JsonObject | None = None,
    description: str = "",
    headers: list[str] | None = None,
) -> JsonObject:
    """One operation; parameters are names in `components`, or written out."""
    success = {
        "description": "Done" if body else "Found",
        "headers": {
            parameters.HEADER_NAMES[name]: {"$ref": f"#/components/headers/{name}"}
            for name in (["position"] if headers is None else headers)
        },
        "content": {"application/json": {"schema": answer}},
    }
    found: JsonObject = {
        "operationId": operation_id,
        "summary": summary,
        "tags": [tag],
        "parameters": [parameters.parameter(item) for item in takes],
        "responses": {
            "200": success,
            **{name.removeprefix("Problem"): schemas.response_ref(name) for name in problem_responses()},
        },
    }
    if description:
        found["description"] = description
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


def stream_operation() -> JsonObject:
    """Server-sent events: the type of an event's `data` is Event."""
    found = operation(
        "stream_events",
        "Every event from a position on, live",
        tag="event",
        takes=["workspace", "after", "last_event_id"],
        answer={},
        description="Server-sent events: id is the position, event the type, data an Event as JSON.",
    )
    found["responses"]["200"]["content"] = {"text/event-stream": {"schema": schemas.TEXT}}
    return found


def diff_stream_operation() -> JsonObject:
    """Lines of JSON: the moments, then the items of a Diff, and after each page its cursor."""
    found = operation(
        "stream_diff",
        "All that differs between two moments",
        tag="moment",
        takes=["workspace", "from", "to", "kind", "limit", "cursor"],
        answer={},
        description="A JSON document a line: `from` and `to`, then each entity; after every `limit` entities"
        " that were looked at `next`, a cursor to go on from, or null when that was all.",
    )
    found["responses"]["200"]["content"] = {LINES_TYPE: {"schema": schemas.TEXT}}
    return found


@cache
def problem_responses() -> JsonObject:
    """A response for each status that problems have, with its codes."""
    responses: JsonObject = {}
    for status in sorted(set(STATUS_BY_CODE.values())):
        codes = sorted(code for code, its in STATUS_BY_CODE.items() if its == status)
        narrowed = {"type": "object", "properties": {"code": {"enum": codes}, "status": {"const": status}}}
        responses[f"Problem{status}"] = {
            "description": ", ".join(codes),
            "content": {PROBLEM_TYPE: {"schema": {"allOf": [schemas.ref("Problem"), narrowed]}}},
        }
    return responses


def row_name(table: Table) -> str:
    """The name of a table's row schema: `model_versions` has `ModelVersionRow`."""
    return "".join(part.capitalize() for part in table.name.split("_")) + "Row"


def row_schemas() -> JsonObject:
    """The row of every public table."""
    return {row_name(table): schemas.row(table) for table in public_tables().values()}
