"""Being a witness over HTTP: which deployments are watched, what was seen of them, and C2SP's `add-checkpoint`.

The answers of `add-checkpoint` are those of C2SP tlog-witness: a cosignature, or 409 with the size to prove from.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from gateway.answers import answer
from gateway.call import Call, parameters, read_body, route
from gateway.problems import refused
from gateway.proof_routes import CHECKPOINTS_LIMIT_DEFAULT, TEXT_TYPE
from gateway.query_routes import limit_of
from ledger import checkpoint
from ledger.postgres.proofs import ProofReader
from ledger.proof_errors import CheckpointStale
from ledger.witness import REQUEST_BYTES_MAX, Witness, Witnessed, parse_request

if TYPE_CHECKING:
    from ledger.signing import Signer

SIZE_TYPE = "text/x.tlog.size"
CONFLICT = 409


class WatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key of a deployment, `name+keyid+base64`, as its operator gave it."""

    key: str


class Watched(msgspec.Struct, frozen=True):
    """Whose logs are taken from now on."""

    name: str
    key: str


_decoder = msgspec.json.Decoder(WatchRequest)


async def watch_deployment(call: Call) -> Response:
    """Watch a deployment: take the checkpoints that its key signed."""
    parameters(call, ())
    try:
        request = _decoder.decode(await read_body(call.request))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refused("malformed_json", f"the body is no watch request: {error}") from None
    key = checkpoint.parse_key(request.key)
    await Witness(call.services.pool).watch(key)
    return answer(Watched(key.name, str(key)))


async def add_checkpoint(call: Call) -> Response:
    """Witness a checkpoint that extends the last one."""
    parameters(call, ())
    body = await read_body(call.request)
    if len(body) > REQUEST_BYTES_MAX:
        raise refused("body_too_large", f"the body is over {REQUEST_BYTES_MAX} bytes", size_bytes_max=REQUEST_BYTES_MAX)
    path = call.services.witness_key
    if path is None:
        raise refused("witness_off", "this gateway has no witness key", hint="set EVERLINE_WITNESS_KEY")
    deployment = await ProofReader(call.services.pool).deployment()
    try:
        seen = await Witness(call.services.pool).add(parse_request(body))
    except CheckpointStale as stale:
        return Response(f"{stale.size}\n", status_code=CONFLICT, media_type=SIZE_TYPE)
    name = f"{deployment.name}/witness"
    signer = await asyncio.to_thread(key_file, path)
    line = checkpoint.cosign(seen, signer, name=name, time=int(time.time()))
    return Response(str(line), media_type=TEXT_TYPE)


async def list_witnessed(call: Call) -> Response:
    """The last checkpoint of every log that is watched."""
    given = parameters(call, ("cursor", "limit"))
    limit = limit_of(given, CHECKPOINTS_LIMIT_DEFAULT)
    found = await Witness(call.services.pool).latest(after=given.get("cursor", ""), limit=limit)
    return answer({"items": rows(found), "next": found[-1].origin if found and len(found) == limit else None})


async def list_refused(call: Call) -> Response:
    """Signed checkpoints that contradict what was witnessed, newest first: evidence."""
    given = parameters(call, ("limit",))
    found = await Witness(call.services.pool).refused(limit=limit_of(given, CHECKPOINTS_LIMIT_DEFAULT))
    return answer({"items": rows(found), "next": None})


@cache
def key_file(path: Path) -> Signer:
    """Read at the first checkpoint that is shown to this gateway: most are never a witness."""
    from ledger.signing import KeyFile

    return KeyFile(path)


def rows(found: list[Witnessed]) -> list[dict[str, object]]:
    return [{**row._asdict(), "root": checkpoint.encoded(row.root)} for row in found]


ROUTES = (
    route("/v1/witness/deployments", watch_deployment, method="POST"),
    route("/v1/witness/add-checkpoint", add_checkpoint, method="POST"),
    route("/v1/witness/checkpoints", list_witnessed),
    route("/v1/witness/refused", list_refused),
)
