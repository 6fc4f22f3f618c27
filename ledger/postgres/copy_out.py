"""What a backup reads. The state that changes is read in one short snapshot; the log is read afterwards, page by page,
because what is in it never changes: a long snapshot would make the head rows' old versions pile up under the writers.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import UUID

import psycopg
from psycopg import sql

from ledger import merkle
from ledger.archive.blocking import BlockingArchive
from ledger.backup.errors import LedgerDamaged
from ledger.codec import canonical
from ledger.deployment import Deployment
from ledger.postgres.read import COLUMNS, envelope
from ledger.values import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_EVENTS_MAX = 2_000
CSV = sql.SQL("(FORMAT csv, HEADER)")


class LedgerHead(NamedTuple):
    """Where one ledger stood in the snapshot. `schema` is the pool schema of its query tables, if it is in one."""

    workspace_id: UUID
    position: Position
    clock: datetime | None
    frontier: bytes
    schema: str | None


class Source:
    """A PostgreSQL whose ledgers are read. Any role that may read them will do."""

    def __init__(self, dsn: str) -> None:
        self._archive = BlockingArchive(dsn)
        self._connection = psycopg.connect(dsn, autocommit=True, options="-c TimeZone=UTC")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.__exit__()
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside belongs together."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def schema(self) -> int:
        """The number of the newest migration."""
        return int(self._one("SELECT max(version) FROM public.everline_schema")[0])

    def now(self) -> datetime:
        """PostgreSQL's clock: the one that events are timed by."""
        moment: datetime = self._one("SELECT clock_timestamp()")[0]
        return moment

    def heads(self) -> list[LedgerHead]:
        """Every ledger that lives here, in the order of their ids."""
        rows = self._connection.execute(
            "SELECT workspace_id, position, nullif(clock, '-infinity'), frontier, schema FROM ledger.heads"
            " WHERE presence IN ('here', 'leaving') ORDER BY workspace_id"
        )
        return [LedgerHead(*row) for row in rows]

    def moved_away(self) -> set[UUID]:
        """The workspaces that lived here once: they are backed up where they live now."""
        rows = self._connection.execute("SELECT workspace_id FROM ledger.heads WHERE presence = 'gone'")
        return {row[0] for row in rows}

    def leaf(self, workspace_id: UUID, position: Position) -> bytes | None:
        """The leaf hash at a position, None where there is none."""
        row = self._connection.execute(
            "SELECT leaf_hash FROM ledger.events WHERE workspace_id = %s AND position = %s", (workspace_id, position)
        ).fetchone()
        if row is None and position > 0:
            archived = self._archive.between(workspace_id, after=position - 1, until=position)
            row = (archived[0][15],) if archived else None
        return row[0] if row else None

    def entries(
        self, workspace_id: UUID, *, after: Position, until: Position, frontier: list[bytes]
    ) -> list[tuple[bytes, bytes]]:
        """The next page of (leaf, canonical envelope) after a position; moves the frontier on.

        Raises LedgerDamaged where the log has a hole or an event does not hash to its leaf.
        """
        last = min(until, after + PAGE_EVENTS_MAX)
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s AND position > %s AND position <= %s"
            " ORDER BY position",
            (workspace_id, after, last),
            binary=True,
        )
        page: list[tuple[bytes, bytes]] = []
        here = rows.fetchall()
        if not here or here[0][1] != after + 1:
            until_here = here[0][1] - 1 if here else last
            here = [*self._archive.between(workspace_id, after=after, until=until_here), *here]
        for position, row in enumerate(here, start=after + 1):
            if row[1] != position:
                raise LedgerDamaged(workspace_id, position=position, reason="the event is missing")
            entry = canonical(envelope(row))
            leaf = merkle.leaf_hash(entry)
            if leaf != row[15]:
                raise LedgerDamaged(workspace_id, position=position, reason="the event does not hash to its leaf")
            merkle.grow(frontier, position - 1, leaf)
            page.append((leaf, entry))
        if after + len(page) != last:
            raise LedgerDamaged(workspace_id, position=after + len(page) + 1, reason="the event is missing")
        return page

    def commands(self, workspace_id: UUID, *, after: Position, until: Position) -> Iterator[bytes]:
        """The commands whose last event lies in (after, until], and those without events that were recorded there;
        CSV. A command without events at the head itself is left out: others like it may still follow."""
        is_archived = self._connection.execute(
            "SELECT FROM ledger.archives WHERE workspace_id = %s AND last_position > %s AND first_position <= %s",
            (workspace_id, after, until),
        ).fetchone()
        # Found through their events, which have an index; without the events, by going through all commands.
        found = (
            "last_position >= first_position"
            if is_archived is not None
            else "command_id IN (SELECT command_id FROM ledger.events WHERE workspace_id = {workspace}"
            " AND position > {after} AND position <= {until})"
        )
        return self._copy(
            "SELECT * FROM ledger.commands WHERE workspace_id = {workspace} AND last_position > {after}"
            f" AND last_position <= {{until}} AND {found}"
            " UNION ALL SELECT * FROM ledger.commands WHERE workspace_id = {workspace} AND first_position > {after}"
            " AND first_position <= {until} AND last_position < first_position",
            workspace=workspace_id,
            after=after,
            until=until,
        )

    def open_commands(self, workspace_id: UUID, *, head: Position) -> Iterator[bytes]:
        """The commands that changed nothing when the ledger stood at its head; CSV."""
        return self._copy(
            "SELECT * FROM ledger.commands WHERE workspace_id = {workspace} AND first_position = {head} + 1"
            " AND last_position < first_position",
            workspace=workspace_id,
            head=head,
        )

    def deployment(self) -> Deployment | None:
        """Who signs here; None before anything was signed."""
        row = self._connection.execute("SELECT id, name, public_key FROM ledger.deployment").fetchone()
        return Deployment(*row) if row else None

    def checkpoints(self, workspace_id: UUID, *, after: Position, until: Position) -> Iterator[bytes]:
        """The checkpoints of a ledger that were signed for sizes in (after, until]; CSV."""
        return self._copy(
            "SELECT size, note, signed_at FROM ledger.signed_checkpoints WHERE log_id = {workspace}"
            " AND size > {after} AND size <= {until} ORDER BY size",
            workspace=workspace_id,
            after=after,
            until=until,
        )

    def signed(self, workspace_id: UUID) -> Position:
        """The size of the last signed checkpoint of a ledger, 0 without any."""
        query = "SELECT coalesce(max(size), 0) FROM ledger.signed_checkpoints WHERE log_id = %s"
        row = self._connection.execute(query, (workspace_id,)).fetchone()
        return int(row[0]) if row else 0

    def whole(self, table: str) -> Iterator[bytes]:
        """All rows of a table; CSV."""
        return self._copy("SELECT * FROM ledger.{table}", table=sql.Identifier(table))

    def claims(self, workspace_id: UUID) -> tuple[int, str]:
        """How many claims a workspace's streams hold, and a digest of them."""
        return claims_digest(self._connection, workspace_id)

    def _copy(self, query: str, **values: object) -> Iterator[bytes]:
        parts = {
            name: value if isinstance(value, sql.Composable) else sql.Literal(value) for name, value in values.items()
        }
        selected = sql.SQL(query).format(**parts)
        with self._connection.cursor().copy(sql.SQL("COPY ({}) TO STDOUT {}").format(selected, CSV)) as copy:
            for piece in copy:
                yield bytes(piece)

    def _one(self, query: str | sql.Composable) -> tuple[Any, ...]:
        return self._connection.execute(query).fetchone() or (None,)  # type: ignore[arg-type]  # the queries above


def claims_digest(connection: psycopg.Connection[Any], workspace_id: UUID) -> tuple[int, str]:
    """The number of a workspace's claims and the SHA-256 of them in order: equal for equal claims."""
    query = sql.SQL(
        "COPY (SELECT key, stream_kind, stream_id FROM ledger.claims WHERE workspace_id = {} ORDER BY key) TO STDOUT"
    )
    digest = sha256()
    with connection.cursor() as cursor:
        with cursor.copy(query.format(sql.Literal(workspace_id))) as copy:
            for piece in copy:
                digest.update(piece)
        return cursor.rowcount, digest.hexdigest()
