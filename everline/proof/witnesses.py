"""Showing a deployment's checkpoints to a witness (C2SP tlog-witness): every log, from where the witness stands."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from everline.calls import Call
from everline.errors import Conflict, Refused
from everline.proof.log import Log
from everline.proof.online import logs_of
from everline.proof.verify import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everline.client import Client

CONTRADICTIONS = frozenset({"checkpoint_forked", "checkpoint_inconsistent", "checkpoint_not_signed"})


def push(client: Client, witness: Client) -> Iterator[dict[str, Any]]:
    """Shows every log's last checkpoint, the deployment's own first; a row for each, with the witness's cosignature or
    the code of its refusal. Raises Refused for what says nothing of a log (the witness does not know us)."""
    own = Log(client, None)
    name = own.key().name
    yield _pushed(own, witness, name)
    for origin in [str(listed["origin"]) for listed in logs_of(client) if listed["is_here"]]:
        yield _pushed(Log.of(client, origin, deployment=name), witness, origin)


def _pushed(log: Log, witness: Client, origin: str) -> dict[str, Any]:
    checkpoint = log.checkpoint()
    row = {"log": origin, "size": checkpoint.size, "cosignature": None, "code": None, "detail": None}
    try:
        return {**row, "cosignature": _witnessed(log, witness, checkpoint.note, checkpoint.size)}
    except Broken as broken:
        return {**row, "code": broken.code, "detail": broken.message}
    except Refused as refused:
        if refused.code not in CONTRADICTIONS:
            raise
        return {**row, "code": refused.code, "detail": refused.message}


def _witnessed(log: Log, witness: Client, note: str, size: int) -> str:
    """The cosignature. The first question tells where the witness stands."""
    try:
        return _asked(witness, 0, [], note)
    except Conflict as conflict:
        stands_at = str(conflict.problem.get("body", "")).strip()
        if not stands_at.isdecimal():
            raise
    old_size = int(stands_at)
    if old_size > size:
        raise Broken("log_shrunk", f"the witness has seen size {old_size}, the log ends at {size}", position=size + 1)
    return _asked(witness, old_size, log.consistency(old_size, size), note)


def _asked(witness: Client, old_size: int, proof: list[bytes], note: str) -> str:
    lines = "".join(f"{base64.b64encode(sibling).decode()}\n" for sibling in proof)
    body = f"old {old_size}\n{lines}\n{note}".encode()
    call = Call("POST", "/v1/witness/add-checkpoint", bytes, body=body, repeatable=True, raw=True)
    return witness.send(call).decode().strip()
