"""The sealer: extends the tiles of every ledger that moved, and signs a checkpoint of it.

It signs only what is committed, what leads to the frontier that the appends themselves left in the head row, and what
extends the last checkpoint: the stored tiles must hash to the root that was signed. A log for which that does not
hold is refused loudly and tried again from time to time; the others go on. Each workspace's checkpoint becomes an
entry of the deployment's own log, so that a workspace cannot vanish whole.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog

from ledger import checkpoint, merkle
from ledger.checkpoint import Checkpoint
from ledger.postgres.seals import SealedHead, Seals
from ledger.proof_errors import (
    CheckpointRewritten,
    EventMissing,
    HeadBehindCheckpoint,
    HeadDiverged,
    ProofError,
    SignerFailed,
    SigningKeyChanged,
    TilesDiverged,
)
from ledger.tiles import Edge, edge_tiles

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.checkpoint import SignedCheckpoint
    from ledger.deployment import Deployment
    from ledger.signing import Signer
    from ledger.values import Position

LEAVES_PER_READ = 20_000
LOGS_PER_TRANSACTION_MAX = 100
REFUSED_RETRY_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Sealer:
    """Seals one PostgreSQL's ledgers. Any number may run: a lock lets one work at a time.

    It remembers what it has seen signed, so a stored checkpoint that is exchanged while it runs is noticed even when
    everything stored fits together.
    """

    def __init__(self, pool: AsyncConnectionPool[Any], signer: Signer, *, name: str | None = None) -> None:
        self._pool = pool
        self._signer = signer
        self._name = name
        self._deployment: Deployment | None = None
        self._signed: dict[UUID, tuple[int, bytes]] = {}
        self._unlogged: dict[UUID, tuple[int, bytes]] = {}
        self._refused: set[UUID] = set()
        self._retry_at: dict[UUID, float] = {}

    async def start(self) -> Deployment:
        """Decides or reads who this deployment is. Raises SigningKeyChanged when it signs with another key."""
        async with self._pool.connection() as connection:
            seals = Seals(connection)
            deployment = await seals.deployment(self._name, public_key=self._signer.public_key)
            if deployment.public_key != self._signer.public_key:
                raise SigningKeyChanged(deployment.name)
            self._signed = await seals.signed()
            self._refused = await seals.refused()
        self._unlogged = {log_id: last for log_id, last in self._signed.items() if log_id != deployment.id}
        self._deployment = deployment
        return deployment

    async def seal(self) -> int:
        """Seals every ledger that moved since the last call; answers how many checkpoints were signed, those of the
        deployment's own log included. Commits per LOGS_PER_TRANSACTION_MAX ledgers."""
        sealed = 0
        while True:
            async with self._pool.connection() as connection, connection.transaction():
                signed, is_done = await self._seal_some(Seals(connection), connection)
            for log_id, made in signed.items():
                self._signed[log_id] = (made.checkpoint.size, made.checkpoint.root)
            sealed += len(signed)
            if is_done:
                return sealed

    async def _seal_some(self, seals: Seals, connection: Any) -> tuple[dict[UUID, SignedCheckpoint], bool]:
        if not await seals.lock():
            return {}, True
        due = self._due(await seals.heads())
        signed: dict[UUID, SignedCheckpoint] = {}
        for workspace_id in due[:LOGS_PER_TRANSACTION_MAX]:
            made = await self._guarded(workspace_id, seals, connection)
            if made is not None:
                signed[workspace_id] = made
        self._unlogged |= {log_id: (made.checkpoint.size, made.checkpoint.root) for log_id, made in signed.items()}
        if self._unlogged and self._is_due(self._own.id):
            made = await self._guarded(self._own.id, seals, connection)
            if made is not None:
                signed[self._own.id] = made
        return signed, len(due) <= LOGS_PER_TRANSACTION_MAX

    @property
    def _own(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("start the sealer first")
        return self._deployment

    def _due(self, heads: dict[UUID, Position | None]) -> list[UUID]:
        """The ledgers that are not where they were sealed, those that vanished included; what was moved away is sealed
        where it is now."""
        known = heads.keys() | self._signed.keys() - {self._own.id}
        return [
            log_id
            for log_id in sorted(known)
            if heads.get(log_id, 0) not in {None, self._signed.get(log_id, (0, b""))[0]} and self._is_due(log_id)
        ]

    def _is_due(self, log_id: UUID) -> bool:
        return time.monotonic() >= self._retry_at.get(log_id, 0.0)

    async def _guarded(self, log_id: UUID, seals: Seals, connection: Any) -> SignedCheckpoint | None:
        """Seals one log in a savepoint; a log that contradicts itself is refused and costs the others nothing."""
        try:
            async with connection.transaction():
                made = await (self._seal_own(seals) if log_id == self._own.id else self._seal(log_id, seals))
                if log_id in self._refused:
                    await seals.forget_refusal(log_id)
        except SignerFailed:
            raise
        except ProofError as refusal:
            reason = str(refusal)
            log.error("seal.refused", log=str(log_id), code=refusal.code, reason=reason)  # noqa: TRY400  no defect of ours
            self._refused.add(log_id)
            self._retry_at[log_id] = time.monotonic() + REFUSED_RETRY_SECONDS
            await seals.refuse(log_id, code=refusal.code, detail=reason)
            return None
        self._refused.discard(log_id)
        self._retry_at.pop(log_id, None)
        return made

    async def _seal(self, workspace_id: UUID, seals: Seals) -> SignedCheckpoint | None:
        head = await seals.head(workspace_id)
        await self._check_signed(workspace_id, head, seals)
        if head.position < head.size:
            raise HeadBehindCheckpoint(head.position, size=head.size)
        if head.position == head.size:
            self._signed[workspace_id] = (head.size, head.root)  # another sealer was faster
            return None
        edge = await self._edge(workspace_id, head, seals)
        await self._extend(edge, workspace_id, seals, until=head.position)
        if edge.frontier != merkle.unpack(head.frontier):
            raise HeadDiverged(head.position, sealed=head.size)
        return await self._sign(workspace_id, edge, seals)

    async def _extend(self, edge: Edge, workspace_id: UUID, seals: Seals, *, until: Position) -> None:
        """Adds the leaves up to the head, in bounded steps."""
        while edge.size < until:
            last = min(until, edge.size + LEAVES_PER_READ)
            leaves = await seals.leaves(workspace_id, after=edge.size, until=last)
            if len(leaves) != last - edge.size:
                raise EventMissing(await seals.first_gap(workspace_id, after=edge.size, until=last))
            edge.add(leaves)
            await seals.put_tiles(workspace_id, edge.take())

    async def _seal_own(self, seals: Seals) -> SignedCheckpoint | None:
        """Adds the newest checkpoint of each workspace to the deployment's log, where it is not there yet."""
        log_id = self._own.id
        head = await seals.head(log_id)
        await self._check_signed(log_id, head, seals)
        logged = await seals.logged(self._unlogged)
        entries = [
            (workspace_id, size, Checkpoint(self._own.origin(workspace_id), size, root).text)
            for workspace_id, (size, root) in sorted(self._unlogged.items())
            if size > logged[workspace_id]
        ]
        if not entries:
            self._unlogged.clear()
            return None
        edge = await self._edge(log_id, head, seals)
        edge.add(merkle.leaf_hash(text.encode()) for _, _, text in entries)
        await seals.put_tiles(log_id, edge.take())
        await seals.put_entries(head.size, entries)
        signed = await self._sign(log_id, edge, seals)
        self._unlogged.clear()
        return signed

    async def _check_signed(self, log_id: UUID, head: SealedHead, seals: Seals) -> None:
        """The last checkpoint is ours, and the one that was seen last is still there."""
        seen = self._signed.get(log_id)
        if seen not in {None, (head.size, head.root)} and await seals.root_at(log_id, seen[0]) != seen[1]:
            raise CheckpointRewritten(seen[0])
        if head.size:
            stored = checkpoint.parse(head.note)
            stored.verify(self._own.key(log_id))
            if (stored.checkpoint.size, stored.checkpoint.root) != (head.size, head.root):
                raise CheckpointRewritten(head.size)

    async def _edge(self, log_id: UUID, head: SealedHead, seals: Seals) -> Edge:
        """The stored edge of the tree, once it was shown to be what was signed: whatever is added extends that."""
        edge = Edge(head.size, await seals.tiles(log_id, edge_tiles(head.size)))
        if head.size and merkle.root(edge.frontier) != head.root:
            raise TilesDiverged(head.size)
        return edge

    async def _sign(self, log_id: UUID, edge: Edge, seals: Seals) -> SignedCheckpoint:
        unsigned = Checkpoint(self._own.origin(log_id), edge.size, merkle.root(edge.frontier))
        signed = await asyncio.to_thread(checkpoint.sign, unsigned, self._signer)
        await seals.put_checkpoint(log_id, signed)
        return signed
