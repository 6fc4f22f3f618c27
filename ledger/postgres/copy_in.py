"""What a restore writes: everything in one transaction, into a ledger that is empty and that nobody else can write to
meanwhile. A restore that ends early leaves nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql

from ledger.backup.errors import NotEmpty
from ledger.postgres.copy_out import LedgerHead, claims_digest
from ledger.values import StreamId, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from ledger.backup.segment import Entry
    from ledger.checkpoint import Checkpoint

STREAM_EVENTS_PAGE = 5_000
CLAIMS_PAGE = 10_000

EVENT_COLUMNS = """workspace_id, position, stream_kind, stream_id, version, event_id, type, schema, data, actor,
    command_id, correlation_id, causation_id, occurred_at, recorded_at, leaf_hash"""

STREAMS = """
INSERT INTO ledger.streams (workspace_id, id, kind, version)
SELECT workspace_id, stream_id, stream_kind, max(version) FROM ledger.events GROUP BY 1, 2, 3
"""

HEADS = "INSERT INTO ledger.heads (workspace_id, position, clock, frontier, schema) VALUES (%s, %s, %s, %s, %s)"

# Seconds since 2026: more than any earlier epoch, also that of a restore a minute ago, so that no message id that the
# broker may still remember comes again. What was restored is not published anew, the record of the restore is.
RELAYS = """
INSERT INTO ledger.relays (workspace_id, position, epoch)
SELECT workspace_id, greatest(position - 1, 0), extract(epoch FROM now() - timestamptz '2026-01-01 00:00Z')::integer
FROM ledger.heads
"""


class StoredEvent(NamedTuple):
    """What a fold needs of an event."""

    stream: StreamId
    event_id: UUID
    type: str
    schema: int
    data: bytes


class Target:
    """One transaction of the database's owner, from `open_empty` to its end."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def events(self) -> Iterator[Callable[[Entry], None]]:
        """Takes the entries of the log."""
        with self._connection.cursor().copy(f"COPY ledger.events ({EVENT_COLUMNS}) FROM STDIN".encode()) as copy:
            write = copy.write_row

            def add(entry: Entry) -> None:
                leaf, event = entry
                kind, _, stream = event.stream.partition("/")
                write(
                    (
                        event.workspace_id,
                        event.position,
                        kind,
                        stream,
                        event.version,
                        event.event_id,
                        event.type,
                        event.schema,
                        bytes(event.data),
                        event.actor,
                        event.command_id,
                        event.correlation_id,
                        event.causation_id,
                        event.occurred_at,
                        event.recorded_at,
                        leaf,
                    )
                )

            yield add

    def rows(self, table: str, pieces: Iterable[bytes], *, key: str | None = None, until: int | None = None) -> None:
        """Rows of another table as CSV with a heading; those whose key is beyond `until` are left out."""
        pieces = iter(pieces)
        heading, rest = _heading(pieces)
        query = sql.SQL("COPY ledger.{} ({}) FROM STDIN (FORMAT csv)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, heading))
        )
        if key is not None and until is not None:
            query += sql.SQL(" WHERE {} <= {}").format(sql.Identifier(key), sql.Literal(until))
        with self._connection.cursor().copy(query) as copy:
            copy.write(rest)
            for piece in pieces:
                copy.write(piece)

    def head(self, head: LedgerHead) -> None:
        """Where a ledger stands from now on."""
        workspace_id, position, clock, frontier, schema = head
        self._connection.execute(HEADS, (workspace_id, position, clock or "-infinity", frontier, schema))

    def now(self) -> datetime:
        """PostgreSQL's clock: the one that events are timed by."""
        row = self._connection.execute("SELECT clock_timestamp()").fetchone()
        moment: datetime = row[0] if row else utc_now()
        return moment

    def command_of(self, entry: Entry) -> None:
        """The command that one event was all of."""
        event = entry.stored
        kind, _, stream = event.stream.partition("/")
        self._connection.execute(
            "INSERT INTO ledger.commands (workspace_id, command_id, request_hash, first_position, last_position,"
            " stream_kind, stream_id) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (event.workspace_id, event.command_id, entry.leaf, event.position, event.position, kind, stream),
        )

    def witness(self, name: str, public_key: bytes) -> None:
        """The deployment whose history this was is another one from now on, whose checkpoints are known here."""
        self._connection.execute(
            "INSERT INTO ledger.witnessed_deployments (name, public_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (name, public_key),
        )

    def witnessed(self, checkpoints: Iterable[tuple[Checkpoint, str, str]]) -> None:
        """Its checkpoints, with their notes and the times of signing."""
        columns = "origin, size, root, note, witnessed_at"
        with self._connection.cursor().copy(
            f"COPY ledger.witnessed_checkpoints ({columns}) FROM STDIN".encode()
        ) as copy:
            for checkpoint, note, signed_at in checkpoints:
                copy.write_row((checkpoint.origin, checkpoint.size, checkpoint.root, note, signed_at))

    def derive(self) -> None:
        """The tables that follow from the log by SQL alone."""
        self._connection.execute(STREAMS)
        self._connection.execute(RELAYS)

    def streams(self, workspace_id: UUID) -> Iterator[StoredEvent]:
        """Every event of a workspace, stream by stream, each in its order."""
        with self._connection.cursor(name="streams", binary=True) as cursor:
            cursor.itersize = STREAM_EVENTS_PAGE
            cursor.execute(
                "SELECT stream_kind, stream_id, event_id, type, schema, data FROM ledger.events WHERE workspace_id = %s"
                " ORDER BY stream_id, stream_kind, version",
                (workspace_id,),
            )
            for kind, stream, *event in cursor:
                yield StoredEvent(StreamId(kind, stream), *event)

    def wrapped_keys(self, workspace_id: UUID) -> dict[UUID, bytes | None]:
        """The keys of people; None for those who were erased, also if the ledger is restored to before that."""
        query = "SELECT subject_id, wrapped_key FROM ledger.subject_keys WHERE workspace_id = %s"
        return dict(self._connection.execute(query, (workspace_id,), binary=True).fetchall())

    def claims(self, workspace_id: UUID, claims: Iterable[tuple[str, StreamId]]) -> None:
        """What the streams hold. Raises psycopg.errors.UniqueViolation for two holders of one key."""
        page: list[tuple[str, StreamId]] = []
        for claim in claims:
            page.append(claim)
            if len(page) == CLAIMS_PAGE:
                self._write_claims(workspace_id, page)
                page.clear()
        self._write_claims(workspace_id, page)

    def claims_digest(self, workspace_id: UUID) -> tuple[int, str]:
        """As in the backup's source."""
        return claims_digest(self._connection, workspace_id)

    def _write_claims(self, workspace_id: UUID, page: list[tuple[str, StreamId]]) -> None:
        columns = "workspace_id, key, stream_kind, stream_id"
        with self._connection.cursor().copy(f"COPY ledger.claims ({columns}) FROM STDIN".encode()) as copy:
            for key, stream in page:
                copy.write_row((workspace_id, key, stream.kind, stream.id))


@contextmanager
def open_empty(owner_dsn: str, *, where: str) -> Iterator[Target]:
    """The ledger of a migrated database, locked. Commits at the end, or changes nothing.

    Raises NotEmpty when it has a past. Programs that start on it meanwhile wait for the end.
    """
    with psycopg.connect(owner_dsn, options="-c TimeZone=UTC") as connection:
        connection.execute("LOCK TABLE ledger.heads IN ACCESS EXCLUSIVE MODE")
        refuse_past(connection, where=where)
        # A workspace that was opened and never written to, or clocks that were asked about: no history.
        connection.execute("DELETE FROM ledger.heads")
        connection.execute("DELETE FROM ledger.relays")
        yield Target(connection)


def refuse_past(connection: psycopg.Connection[Any], *, where: str) -> None:
    """Raises NotEmpty when anything was ever recorded here."""
    found = connection.execute(
        "SELECT (SELECT sum(position) FROM ledger.heads), EXISTS (SELECT FROM ledger.events),"
        " EXISTS (SELECT FROM ledger.commands)"
    ).fetchone()
    if found and any(found):
        raise NotEmpty(where, events=int(found[0] or 0))


def analyze(owner_dsn: str) -> None:
    """Fresh statistics for the planner: without them the first queries would scan."""
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE ledger.events, ledger.commands, ledger.streams, ledger.claims, ledger.heads")


def _heading(pieces: Iterator[bytes]) -> tuple[list[str], bytes]:
    """The column names of a CSV, and what of its first bytes comes behind them."""
    start = b""
    for piece in pieces:
        start += piece
        if b"\n" in start:
            break
    heading, _, rest = start.partition(b"\n")
    return heading.decode().split(","), rest
