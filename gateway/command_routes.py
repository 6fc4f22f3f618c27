"""Commands over HTTP: one by one under their names, and in batches. Bodies go from bytes to commands in one step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from commands.command import Rejection
from commands.registry import public_command_types
from commands.rejections import BatchAborted, BatchTooLarge, InvalidCommand
from commands.submission import BATCH_MAX, Receipt, Submission, decode
from gateway.answers import answer
from gateway.call import WORKSPACE, Call, parameters, read_body, route
from gateway.metrics import ACCEPTED, OTHER
from gateway.problems import Problem, Refused, from_rejection, refused
from ledger.values import Version, derived_id, new_id

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_KEY_LENGTH_MAX = 255
ENTITY_TAG = re.compile(r'"(\d{1,9})"', re.ASCII)
BATCH = "batch"


class BatchCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command of a batch. `id` is its command id: a repeat with the same id is answered, not done again."""

    name: str
    body: msgspec.Raw
    id: UUID | None = None
    expected_version: Annotated[int, Meta(ge=0)] | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands in order. With `atomic`, all are done or none."""

    commands: Annotated[list[BatchCommand], Meta(min_length=1)]
    atomic: bool = False


_batch_decoder = msgspec.json.Decoder(Batch)


async def submit(call: Call) -> Response:
    """One command."""
    parameters(call, ())
    name = call.path("name")
    body = await read_body(call.request)
    submission = decode(name, body, command_id=command_id(call), expected_version=expected_version(call))
    if isinstance(submission, Rejection):
        count(call, name, submission)
        raise Refused(undecodable(submission, body))
    (outcome,) = await call.services.handler.submit(call.workspace_id, [submission], actor=call.actor.name)
    count(call, name, outcome)
    if isinstance(outcome, Rejection):
        raise Refused(from_rejection(outcome))
    return answer(outcome, position=outcome.position, version=outcome.version)


async def submit_batch(call: Call) -> Response:
    """Commands in order; each is answered by itself unless the batch is atomic."""
    parameters(call, ())
    batch = await read_batch(call)
    decoded = decode_all(call, batch.commands)
    outcomes = await outcomes_of(call, decoded, atomic=batch.atomic)
    for item, outcome in zip(batch.commands, outcomes, strict=True):
        count(call, item.name, outcome)
    if batch.atomic:
        raise_if_refused(outcomes)
    positions = [outcome.position for outcome in outcomes if isinstance(outcome, Receipt)]
    position = max(positions, default=0) or (await call.services.reader.head(call.workspace_id)).position
    results = [batch_result(call, outcome, index=index) for index, outcome in enumerate(outcomes)]
    return answer({"results": results, "position": position}, position=position)


async def read_batch(call: Call) -> Batch:
    """The batch that the body holds. Raises Refused if it holds none."""
    body = await read_body(call.request)
    try:
        batch = _batch_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(from_rejection(InvalidCommand(BATCH, reason=str(error)))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from None
    if len(batch.commands) > BATCH_MAX:
        raise Refused(from_rejection(BatchTooLarge(len(batch.commands), size_max=BATCH_MAX)))
    return batch


def decode_all(call: Call, commands: Sequence[BatchCommand]) -> list[Submission | Rejection]:
    """Each command with its own id, or with one derived from the batch's Idempotency-Key and its place."""
    batch_id = command_id(call)
    if expected_version(call) is not None:
        raise malformed_header("If-Match", "a batch has an expected_version per command instead")
    return [
        decode(
            item.name,
            item.body,
            command_id=item.id or derived_id("batch", batch_id, index),
            expected_version=item.expected_version,
            occurred_at=item.occurred_at,
        )
        for index, item in enumerate(commands)
    ]


async def outcomes_of(
    call: Call, decoded: Sequence[Submission | Rejection], *, atomic: bool
) -> list[Receipt | Rejection]:
    """What became of each command, in order. One that cannot be decoded aborts an atomic batch."""
    good = [item for item in decoded if isinstance(item, Submission)]
    if atomic and len(good) < len(decoded):
        first = next(index for index, item in enumerate(decoded) if isinstance(item, Rejection))
        return [item if isinstance(item, Rejection) else BatchAborted(first) for item in decoded]
    submitted = iter(
        await call.services.handler.submit(call.workspace_id, good, actor=call.actor.name, atomic=atomic)
        if good
        else ()
    )
    return [item if isinstance(item, Rejection) else next(submitted) for item in decoded]


def raise_if_refused(outcomes: Sequence[Receipt | Rejection]) -> None:
    """The problem of the command that aborted an atomic batch is the problem of the batch, with its index."""
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Rejection) and not isinstance(outcome, BatchAborted):
            raise Refused(from_rejection(outcome, index=index))


def batch_result(call: Call, outcome: Receipt | Rejection, *, index: int) -> dict[str, Any]:
    if isinstance(outcome, Receipt):
        return {"receipt": outcome}
    problem = from_rejection(outcome, index=index)
    return {"problem": problem.document(call.request.state.request_id)}


def command_id(call: Call) -> UUID:
    """The client's command id: a UUID as it is, any other text as a UUID derived from it; without one, a new id."""
    key = call.request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return new_id()
    if not key or len(key) > IDEMPOTENCY_KEY_LENGTH_MAX:
        raise malformed_header(IDEMPOTENCY_HEADER, f"it must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} characters")
    try:
        return UUID(key)
    except ValueError:
        return derived_id("idempotency_key", key)


def expected_version(call: Call) -> Version | None:
    """The version in If-Match, if the caller sent one."""
    header = call.request.headers.get("If-Match")
    if header is None:
        return None
    match = ENTITY_TAG.fullmatch(header)
    if match is None:
        raise malformed_header("If-Match", 'it must be one version in double quotes, such as "3"')
    return int(match.group(1))


def undecodable(rejection: Rejection, body: bytes) -> Problem:
    """The rejection's problem, unless the body is no JSON at all."""
    if isinstance(rejection, InvalidCommand):
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return malformed(str(error)).problem
    return from_rejection(rejection)


def malformed(reason: str) -> Refused:
    return refused("malformed_json", f"the body is not JSON: {reason}", hint="send a JSON object", reason=reason)


def malformed_header(name: str, reason: str) -> Refused:
    return refused("malformed_header", f"{name}: {reason}", header=name)


def count(call: Call, name: str, outcome: Receipt | Rejection) -> None:
    """Measures an outcome; names that clients made up share one label."""
    known = name if name in public_command_types() else OTHER
    code = outcome.code if isinstance(outcome, Rejection) else ACCEPTED
    call.services.metrics.commanded(known, outcome=code)


ROUTES = (
    route(f"{WORKSPACE}/commands", submit_batch, method="POST"),
    route(f"{WORKSPACE}/commands/{{name}}", submit, method="POST"),
)
