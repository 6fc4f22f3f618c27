"""Watching other deployments' logs (C2SP tlog-witness): remember the last checkpoint, take only what extends it.

A checkpoint that is signed by the log's key and contradicts what was witnessed is kept as evidence: together with the
one that was witnessed before, it convicts whoever signed both.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger import checkpoint, merkle
from ledger.checkpoint import VerifierKey
from ledger.proof_errors import (
    CheckpointForked,
    CheckpointInconsistent,
    CheckpointMalformed,
    CheckpointStale,
    KeyConflict,
    LogUnknown,
)

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from ledger.checkpoint import Checkpoint, SignedCheckpoint

REQUEST_BYTES_MAX = 64 << 10
PAGE_MAX = 1_000
WITNESS_LOCK = 0x77697473


class Request(NamedTuple):
    """What a log asks of a witness: the size it stood at, a proof from there, and the new checkpoint."""

    old_size: int
    proof: list[bytes]
    signed: SignedCheckpoint


class Witnessed(NamedTuple):
    """A log's checkpoint as the witness keeps it; a refused one has the code of its refusal."""

    origin: str
    size: int
    root: bytes
    note: str
    at: datetime
    code: str | None


def parse_request(body: bytes) -> Request:
    """Reads `old <size>`, proof lines, an empty line and a signed note. Raises CheckpointMalformed."""
    try:
        head, separator, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise CheckpointMalformed("it is not UTF-8") from None
    first, *lines = head.split("\n")
    word, _, size = first.partition(" ")
    is_size = size.isascii() and size.isdecimal() and len(size) <= checkpoint.SIZE_DIGITS_MAX
    if not separator or word != "old" or not is_size or len(lines) > merkle.PROOF_HASHES_MAX:
        raise CheckpointMalformed("it must be `old <size>`, at most 63 proof lines, an empty line and a checkpoint")
    return Request(int(size), [checkpoint.decoded_hash(line) for line in lines], checkpoint.parse(note))


class Witness:
    """One PostgreSQL's memory of other deployments."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def watch(self, key: VerifierKey) -> None:
        """From now on the logs of this deployment are taken. Raises KeyConflict for another key of the same name."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO ledger.witnessed_deployments (name, public_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (key.name, key.public_key),
            )
            known = await _key_of(connection, key.name)
        if known is None or known.public_key != key.public_key:
            raise KeyConflict(key.name)

    async def add(self, request: Request) -> Checkpoint:
        """Remembers a checkpoint that extends the last one, durably; a repeat is answered the same.

        Raises LogUnknown, CheckpointUnsigned, CheckpointMalformed, CheckpointStale, CheckpointForked and
        CheckpointInconsistent; the last two leave the checkpoint as evidence."""
        new = request.signed.checkpoint
        async with self._pool.connection() as connection:
            key = await _key_of(connection, new.origin)
            if key is None:
                raise LogUnknown(new.origin)
            request.signed.verify(key.named(new.origin))
            if request.old_size > new.size:
                raise CheckpointMalformed(f"it is smaller than the old size {request.old_size}")
            refusal: CheckpointForked | CheckpointInconsistent | None = None
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (WITNESS_LOCK, new.origin))
                refusal = await _judge(connection, request)
                if refusal is not None:
                    await _keep_evidence(connection, request.signed, refusal.code)
                else:
                    await connection.execute(
                        "INSERT INTO ledger.witnessed_checkpoints (origin, size, root, note) VALUES (%s, %s, %s, %s)"
                        " ON CONFLICT DO NOTHING",
                        (new.origin, new.size, new.root, request.signed.note),
                    )
        if refusal is not None:
            raise refusal
        return new

    async def latest(self, *, after: str, limit: int) -> list[Witnessed]:
        """The last witnessed checkpoint of every log, in the order of origins."""
        return await self._rows(
            "SELECT DISTINCT ON (origin) origin, size, root, note, witnessed_at, NULL FROM ledger.witnessed_checkpoints"
            " WHERE origin > %s ORDER BY origin, size DESC LIMIT %s",
            after,
            min(limit, PAGE_MAX),
        )

    async def refused(self, *, limit: int) -> list[Witnessed]:
        """Signed checkpoints that contradict what was witnessed, newest first."""
        return await self._rows(
            "SELECT origin, size, root, note, refused_at, code FROM ledger.refused_checkpoints"
            " ORDER BY refused_at DESC LIMIT %s",
            min(limit, PAGE_MAX),
        )

    async def _rows(self, query: str, *values: object) -> list[Witnessed]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values, binary=True)
            return [Witnessed(*row) for row in await cursor.fetchall()]


async def _judge(
    connection: AsyncConnection[Any], request: Request
) -> CheckpointForked | CheckpointInconsistent | None:
    """Why the checkpoint contradicts what was witnessed, if it does. Raises CheckpointStale."""
    new = request.signed.checkpoint
    cursor = await connection.execute(
        "SELECT size, root FROM ledger.witnessed_checkpoints WHERE origin = %s AND size = %s"
        " UNION (SELECT size, root FROM ledger.witnessed_checkpoints WHERE origin = %s ORDER BY size DESC LIMIT 1)",
        (new.origin, new.size, new.origin),
        binary=True,
    )
    known = dict(await cursor.fetchall())
    if known.get(new.size, new.root) != new.root:
        return CheckpointForked(new.origin, size=new.size)
    size = max(known, default=0)
    if request.old_size != size:
        raise CheckpointStale(new.origin, size=size)
    old_root = known.get(size, merkle.EMPTY_ROOT)
    if not merkle.verify_consistency(size, new.size, proof=request.proof, old_root=old_root, root_hash=new.root):
        return CheckpointInconsistent(new.origin, witnessed=size, size=new.size)
    return None


async def _keep_evidence(connection: AsyncConnection[Any], signed: SignedCheckpoint, code: str) -> None:
    new = signed.checkpoint
    await connection.execute(
        "INSERT INTO ledger.refused_checkpoints (origin, size, root, note, code) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (new.origin, new.size, new.root, signed.note, code),
    )


async def _key_of(connection: AsyncConnection[Any], origin: str) -> VerifierKey | None:
    """The key of the watched deployment that a log belongs to: its own name, or the longest that begins it."""
    cursor = await connection.execute(
        "SELECT name, public_key FROM ledger.witnessed_deployments"
        " WHERE name = %s OR starts_with(%s, name || '/') ORDER BY length(name) DESC LIMIT 1",
        (origin, origin),
        binary=True,
    )
    row = await cursor.fetchone()
    return VerifierKey(*row) if row else None
