"""Answers: JSON by msgspec, the position that they reflect, and entity tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from gateway.problems import PROBLEM_TYPE

if TYPE_CHECKING:
    from gateway.problems import Problem
    from ledger.values import Position, Version

POSITION_HEADER = "Everline-Position"
JSON_TYPE = "application/json"
LINES_TYPE = "application/x-ndjson"

_encoder = msgspec.json.Encoder(decimal_format="number")


def answer(value: Any, *, position: Position | None = None, version: Version | None = None) -> Response:
    """A 200 with the value as JSON. `version` is the entity's, for If-Match."""
    headers = {}
    if position is not None:
        headers[POSITION_HEADER] = str(position)
    if version is not None:
        headers["ETag"] = f'"{version}"'
    return Response(_encoder.encode(value), headers=headers, media_type=JSON_TYPE)


def encode_lines(values: list[Any]) -> bytes:
    """Each value as JSON on a line of its own."""
    return _encoder.encode_lines(values)


def problem_answer(problem: Problem, *, request_id: str, position: Position | None = None) -> Response:
    """The problem document, with the position of the ledger that was left as it is."""
    headers = {}
    if position is not None:
        headers[POSITION_HEADER] = str(position)
    if problem.retry_after_seconds is not None:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    return Response(
        _encoder.encode(problem.document(request_id)),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_TYPE,
    )
