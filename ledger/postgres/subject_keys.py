"""The data keys of persons, read from PostgreSQL for one question and never kept: an erasure takes effect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.errors import MasterKeyMissing, SubjectKeyLost

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.erasure import MasterKey
    from ledger.values import Position


class SubjectKeys:
    """Looks keys up and makes new ones. What needs the master key raises MasterKeyMissing where there is none."""

    def __init__(self, pool: AsyncConnectionPool[Any], master_key: MasterKey | None) -> None:
        self._pool = pool
        self._master_key = master_key

    async def find(self, workspace_id: UUID, subjects: Collection[UUID]) -> dict[UUID, bytes | None]:
        """The key of each subject that ever had one; None for an erased one. Raises MasterKeyWrong or SealBroken."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT subject_id, wrapped_key FROM ledger.subject_keys"
                " WHERE workspace_id = %s AND subject_id = ANY(%s)",
                (workspace_id, list(subjects)),
                binary=True,
            )
            rows = await cursor.fetchall()
        return {
            subject: None if wrapped is None else self.master.unwrap(wrapped, workspace_id, subject)
            for subject, wrapped in rows
        }

    async def find_all(self, workspace_id: UUID, subjects: Collection[UUID]) -> dict[UUID, bytes | None]:
        """As `find`, for subjects that have events. Raises SubjectKeyLost for one that never had a key."""
        found = await self.find(workspace_id, subjects)
        for subject in subjects:
            if subject not in found:
                raise SubjectKeyLost(subject)
        return found

    async def last_erasure(self, workspace_id: UUID) -> Position:
        """The position of the newest erasure; 0 if nobody was erased."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT coalesce(max(erased_position), 0) FROM ledger.subject_keys WHERE workspace_id = %s",
                (workspace_id,),
            )
            return int((await cursor.fetchone() or (0,))[0])

    @property
    def master(self) -> MasterKey:
        """Raises MasterKeyMissing."""
        if self._master_key is None:
            raise MasterKeyMissing
        return self._master_key
