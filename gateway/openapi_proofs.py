"""The OpenAPI description of proofs: the same operations on a workspace's log and on the deployment's own."""

from __future__ import annotations

from typing import Any

from gateway import openapi_schemas as schemas

JsonObject = dict[str, Any]

HASH: JsonObject = {"type": "string", "format": "byte", "description": "32 bytes in base64"}
HASHES = schemas.list_of(HASH)
NULLABLE_TEXT: JsonObject = {"type": ["string", "null"]}
NOTE: JsonObject = {"type": "string", "description": "a signed note, C2SP tlog-checkpoint"}

SCHEMAS: JsonObject = {
    "CheckpointPage": schemas.an_object(
        {
            "items": schemas.list_of(
                schemas.an_object({"size": schemas.NUMBER, "root": HASH, "signed_at": schemas.TIME, "note": NOTE})
            ),
            "next": {"type": ["integer", "null"], "description": "`after` of the next page"},
        }
    ),
    "InclusionProof": schemas.an_object(
        {"position": schemas.NUMBER, "size": schemas.NUMBER, "leaf_hash": HASH, "hashes": HASHES}
    ),
    "ConsistencyProof": schemas.an_object({"from": schemas.NUMBER, "to": schemas.NUMBER, "hashes": HASHES}),
    "Frontier": schemas.an_object({"size": schemas.NUMBER, "hashes": HASHES}),
    "WitnessedPage": schemas.an_object(
        {
            "items": schemas.list_of(
                schemas.an_object(
                    {
                        "origin": schemas.TEXT,
                        "size": schemas.NUMBER,
                        "root": HASH,
                        "note": NOTE,
                        "at": schemas.TIME,
                        "code": NULLABLE_TEXT,
                    }
                )
            ),
            "next": schemas.CURSOR,
        }
    ),
    "LogPage": schemas.an_object(
        {
            "items": schemas.list_of(
                schemas.an_object(
                    {
                        "workspace_id": schemas.UUID,
                        "is_here": {"type": "boolean", "description": "false when another PostgreSQL has it"},
                        "origin": schemas.TEXT,
                        "position": schemas.NUMBER,
                        "size": schemas.NUMBER,
                        "refused_code": NULLABLE_TEXT,
                        "refused_detail": NULLABLE_TEXT,
                        "refused_at": {"type": ["string", "null"], "format": "date-time"},
                    }
                )
            ),
            "next": schemas.CURSOR,
        }
    ),
}

# path, operation, summary, parameters, the answer's schema or its media type
OPERATIONS: tuple[tuple[str, str, str, list[str], str], ...] = (
    ("/checkpoint", "show_checkpoint", "The last signed checkpoint", ["covered_size"], "text/plain"),
    (
        "/checkpoints",
        "list_checkpoints",
        "Signed checkpoints, smallest first",
        ["after_size", "limit"],
        "CheckpointPage",
    ),
    ("/key", "show_key", "The key that checkpoints are verified with", [], "text/plain"),
    ("/frontier", "show_frontier", "The frontier at a size", ["tree_size"], "Frontier"),
    (
        "/proofs/inclusion",
        "prove_inclusion",
        "That a position is in the log",
        ["proven_position", "covered_size"],
        "InclusionProof",
    ),
    (
        "/proofs/consistency",
        "prove_consistency",
        "That a log extends what it was",
        ["from_size", "to_size"],
        "ConsistencyProof",
    ),
    ("/tile/{tile}", "show_tile", "A tile of hashes or a bundle of entries", ["tile"], "application/octet-stream"),
)


def query(name: str, description: str, *, required: bool = False) -> JsonObject:
    schema = {"type": "integer", "minimum": 0}
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


PARAMETERS: JsonObject = {
    "covered_size": query("size", "a size that the answer must cover; absent means the last checkpoint's"),
    "after_size": query("after", "only those of more than this size"),
    "tree_size": query("size", "how many entries the tree has", required=True),
    "proven_position": query("position", "the position; of the deployment's log, its entry", required=True),
    "from_size": query("from", "the smaller size", required=True),
    "to_size": query("to", "the greater size", required=True),
    "tile": {
        "name": "tile",
        "in": "path",
        "required": True,
        "description": "C2SP tlog-tiles: `<level>/<number>` or `entries/<number>`, and `.p/<width>` for a partial one",
        "schema": {"type": "string"},
    },
}
