"""Ledgers to back up and to restore: histories whose units take the claims that their states hold, and what a
database holds afterwards, table by table."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from commands.registry import decider
from ledger.backup.manifest import Manifest
from ledger.checkpoint import VerifierKey
from ledger.erasure import MasterKey
from ledger.postgres.append import Appender
from ledger.postgres.copy_in import open_empty
from ledger.postgres.copy_out import Source
from ledger.values import StreamId
from runners.backup import catalog
from runners.backup.making import Made, back_up
from runners.backup.place import Place
from runners.backup.points import parse
from runners.backup.restoring import Restored, Restoring, Terms
from runners.progress import Progress
from tests.support import histories
from tests.support.histories import History
from tests.support.servers import Database

COMPARED = {
    "events": "position, stream_kind, stream_id, version, event_id, type, schema, data, actor, command_id,"
    " correlation_id, causation_id, occurred_at, recorded_at, leaf_hash",
    "commands": "command_id, request_hash, first_position, last_position, stream_kind, stream_id",
    "streams": "id, kind, version",
    "claims": "key, stream_kind, stream_id",
}
"""The columns in which a restored ledger must equal the one that was backed up."""

Contents = dict[str, list[tuple[Any, ...]]]


class Claiming:
    """Appends a history to a workspace as the handler would: claims follow from the states of its streams."""

    def __init__(self, appender: Appender, workspace_id: UUID, *, seed: int = 0) -> None:
        self.workspace_id = workspace_id
        self._appender = appender
        self._history = History(seed)
        self._sizes = random.Random(seed)  # noqa: S311 - a reproducible history, no secret
        self._states: dict[StreamId, Any] = {}
        self._claims: dict[str, StreamId] = {}
        self.claims_at: dict[int, dict[str, StreamId]] = {0: {}}
        """What was held after each unit, by the position it ended at."""

    async def act(self, times: int) -> int:
        """Some actions of users, in units of several events; the head afterwards."""
        pending, head = self._history.act(times).take(), 0
        while pending:
            size = self._sizes.randint(1, 9)
            part, pending = pending[:size], pending[size:]
            take, release = self._changed_claims(part)
            unit = histories._unit(self.workspace_id, self._history, part)
            head = (await self._appender.append(unit._replace(take=take, release=release))).head
            self.claims_at[head] = dict(self._claims)
        return head

    def _changed_claims(self, events: Sequence[Any]) -> tuple[dict[str, StreamId], dict[str, StreamId]]:
        before = dict(self._claims)
        streams = {stream for stream, _ in events}
        for stream, event in events:
            self._states[stream] = decider(stream.kind).evolve(self._states.get(stream), event)
        self._claims = {key: stream for key, stream in before.items() if stream not in streams}
        for stream in streams:
            self._claims |= dict.fromkeys(decider(stream.kind).claims(self._states[stream]), stream)
        release = {key: stream for key, stream in before.items() if self._claims.get(key) != stream}
        return {key: stream for key, stream in self._claims.items() if before.get(key) != stream}, release


def backed_up(database: Database, where: Path | str, *, keys: str = "") -> Made:
    """A backup of everything in the database."""
    with Source(database.app_dsn) as source:
        return back_up(source, Place(str(where)), keys=keys, progress=Progress("backup"))


def restored(
    where: Path | str,
    database: Database,
    *to: str,
    number: int | None = None,
    trusted: VerifierKey | None = None,
    derived_claims: bool = False,
    reason: str = "a test",
    master_key: MasterKey | None = None,
) -> list[Restored]:
    """A restore into an empty migrated database."""
    place = Place(str(where))
    manifest: Manifest = catalog.load(place, number)
    terms = Terms(parse(place, manifest, to), reason, trusted, derived_claims, master_key)
    with open_empty(database.owner_dsn, where=database.name) as target:
        return Restoring(place, manifest, target, terms=terms, progress=Progress("restore")).run()


def contents(database: Database, workspace_id: UUID, *, until: int | None = None) -> Contents:
    """What the compared tables hold of a workspace; with `until`, of the log only what is not beyond it."""
    limits = {"events": "position", "commands": "last_position"}
    with psycopg.connect(database.owner_dsn) as connection:
        found: Contents = {}
        for table, columns in COMPARED.items():
            limit = f" AND {limits[table]} <= {until}" if until is not None and table in limits else ""
            rows = connection.execute(
                f"SELECT {columns} FROM ledger.{table} WHERE workspace_id = %s{limit}"
                f" AND {'stream_kind' if table != 'streams' else 'kind'} <> 'restoration' ORDER BY {columns}".encode(),
                (workspace_id,),
            )
            found[table] = rows.fetchall()
        return found


def is_empty(database: Database) -> bool:
    """Whether the ledger has no history."""
    with psycopg.connect(database.owner_dsn) as connection:
        found = connection.execute(
            "SELECT EXISTS (SELECT FROM ledger.events) OR EXISTS (SELECT FROM ledger.commands) OR"
            " EXISTS (SELECT FROM ledger.heads)"
        ).fetchone()
    return found == (False,)
