"""One append transaction: lock the heads, read what the checks need; write what was admitted, advance, commit.

Two round trips. The caller judges the units between them, while it holds the heads' locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger import merkle
from ledger.appending import Ledger, Unit
from ledger.postgres.arrays import Array, Bigints, Byteas, Integers, Smallints, Texts, Timestamps, Uuids
from ledger.postgres.read import KEY_END
from ledger.values import StreamId

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from psycopg import AsyncConnection

EVENT_COLUMNS = (
    *(Uuids, Bigints, Texts, Uuids, Integers, Uuids, Texts, Smallints),
    *(Byteas, Texts, Uuids, Uuids, Uuids, Timestamps, Timestamps, Byteas),
)
COMMAND_COLUMNS = (Uuids, Uuids, Byteas, Bigints, Bigints, Texts, Uuids)
STREAM_COLUMNS = (Uuids, Uuids, Texts, Integers)
CLAIM_COLUMNS = (Uuids, Texts, Texts, Uuids)
HEAD_COLUMNS = (Uuids, Bigints, Timestamps, Byteas)


async def lock_and_read(
    connection: AsyncConnection[Any], workspaces: Sequence[UUID], units: Sequence[Unit]
) -> dict[UUID, Ledger]:
    """Begins the transaction, locks the heads in order, and reads what judging the units needs. One round trip.

    Lock and probe are two statements on purpose: under READ COMMITTED each sees what was committed before it began,
    so the probe sees everything that the previous holder of the lock wrote.
    """
    commands = [(unit.workspace_id, command.command_id) for unit in units for command in unit.commands]
    streams = {(unit.workspace_id, stream.id, stream.kind) for unit in units for stream in unit.expected}
    keys = {(unit.workspace_id, key) for unit in units for key in unit.take}
    prefixes = {(unit.workspace_id, prefix) for unit in units for prefix in unit.guards}
    asked = (
        *_columns(commands, (Uuids, Uuids)),
        *_columns(streams, (Uuids, Uuids, Texts)),
        *_columns(keys, (Uuids, Texts)),
        KEY_END,
        *_columns(prefixes, (Uuids, Texts)),
    )
    async with connection.pipeline():
        await connection.execute("BEGIN")
        locked = await connection.execute(LOCK_HEADS, (Uuids(workspaces),), binary=True)
        probed = await connection.execute(PROBE, asked, binary=True)
    found = await probed.fetchall()
    (now,) = (at for what, *_, at in found if what == "clock")
    ledgers = {
        workspace_id: Ledger(position=position, clock=clock, frontier=frontier, presence=presence, now=now)
        for workspace_id, position, clock, frontier, presence in await locked.fetchall()
    }
    for what, workspace_id, id_, kind, key, version, _ in found:
        match what:
            case "command":
                ledgers[workspace_id].commands.add(id_)
            case "stream":
                ledgers[workspace_id].versions[StreamId(kind, id_)] = version
            case "claim":
                ledgers[workspace_id].claims[key] = StreamId(kind, id_)
            case "last key":
                ledgers[workspace_id].last_keys[kind] = key
    return ledgers


async def write_and_commit(connection: AsyncConnection[Any], ledgers: dict[UUID, Ledger]) -> None:
    """Writes what was admitted, advances the heads and commits, in one round trip."""
    events = [row for ledger in ledgers.values() for row in ledger.event_rows]
    commands = [row for ledger in ledgers.values() for row in ledger.command_rows]
    streams = [
        (workspace, stream.id, stream.kind, ledger.versions[stream])
        for workspace, ledger in ledgers.items()
        for stream in ledger.touched
    ]
    heads = [
        (workspace, ledger.position, ledger.recorded_at, merkle.pack(ledger.frontier))
        for workspace, ledger in ledgers.items()
        if ledger.event_rows
    ]
    released = [(workspace, key) for workspace, ledger in ledgers.items() for key in ledger.changed_claims]
    taken = [
        (workspace, key, ledger.claims[key].kind, ledger.claims[key].id)
        for workspace, ledger in ledgers.items()
        for key in ledger.changed_claims
        if key in ledger.claims
    ]
    new_keys = [row for ledger in ledgers.values() for row in ledger.new_keys]
    ended_keys = [row for ledger in ledgers.values() for row in ledger.ended_keys]
    written = (
        *_columns(events, EVENT_COLUMNS),
        *_columns(streams, STREAM_COLUMNS),
        *_columns(heads, HEAD_COLUMNS),
        *_columns(commands, COMMAND_COLUMNS),
    )
    async with connection.pipeline():
        if commands:
            await connection.execute(WRITE, written)
        if released:
            await connection.execute(DELETE_CLAIMS, _columns(released, (Uuids, Texts)))
        if taken:
            await connection.execute(INSERT_CLAIMS, _columns(taken, CLAIM_COLUMNS))
        if new_keys:
            await connection.execute(INSERT_KEYS, _columns(new_keys, (Uuids, Uuids, Byteas)))
        if ended_keys:
            await connection.execute(DESTROY_KEYS, _columns(ended_keys, (Uuids, Uuids, Bigints)))
        await connection.execute("COMMIT")


def _columns(rows: Collection[Iterable[Any]], types: Sequence[type[Array[Any]]]) -> list[Array[Any]]:
    """Rows as arrays, one per column, for unnest."""
    columns: Iterable[Iterable[Any]] = zip(*rows, strict=True) if rows else [()] * len(types)
    return [array(column) for array, column in zip(types, columns, strict=True)]


def _placeholders(types: Sequence[type[Array[Any]]]) -> str:
    return ", ".join(["%s"] * len(types))


LOCK_HEADS = """
SELECT workspace_id, position, nullif(clock, '-infinity'), frontier, presence FROM ledger.heads
WHERE workspace_id = ANY(%s) ORDER BY workspace_id FOR UPDATE
"""
PROBE = """
SELECT 'clock' AS what, NULL::uuid, NULL::uuid, NULL, NULL, NULL::integer, clock_timestamp()
UNION ALL
SELECT 'command', workspace_id, command_id, NULL, NULL, NULL, NULL FROM ledger.commands
JOIN unnest(%s, %s) AS asked (workspace_id, command_id) USING (workspace_id, command_id)
UNION ALL
SELECT 'stream', workspace_id, id, kind, NULL, version, NULL FROM ledger.streams
JOIN unnest(%s, %s, %s) AS asked (workspace_id, id, kind) USING (workspace_id, id, kind)
UNION ALL
SELECT 'claim', workspace_id, stream_id, stream_kind, key, NULL, NULL FROM ledger.claims
JOIN unnest(%s, %s) AS asked (workspace_id, key) USING (workspace_id, key)
UNION ALL
SELECT 'last key', workspace_id, NULL, prefix, (
    SELECT key FROM ledger.claims
    WHERE claims.workspace_id = asked.workspace_id AND key >= prefix AND key < prefix || %s ORDER BY key DESC LIMIT 1
), NULL, NULL
FROM unnest(%s, %s) AS asked (workspace_id, prefix)
"""
WRITE = f"""
WITH added AS (
    INSERT INTO ledger.events SELECT * FROM unnest({_placeholders(EVENT_COLUMNS)})
), moved AS (
    INSERT INTO ledger.streams SELECT * FROM unnest({_placeholders(STREAM_COLUMNS)})
    ON CONFLICT (workspace_id, id, kind) DO UPDATE SET version = excluded.version
), advanced AS (
    UPDATE ledger.heads SET position = new.position, clock = new.clock, frontier = new.frontier
    FROM unnest({_placeholders(HEAD_COLUMNS)}) AS new (workspace_id, position, clock, frontier)
    WHERE heads.workspace_id = new.workspace_id
)
INSERT INTO ledger.commands SELECT * FROM unnest({_placeholders(COMMAND_COLUMNS)})
"""
DELETE_CLAIMS = """
DELETE FROM ledger.claims USING unnest(%s, %s) AS gone (workspace_id, key)
WHERE claims.workspace_id = gone.workspace_id AND claims.key = gone.key
"""
INSERT_CLAIMS = "INSERT INTO ledger.claims SELECT * FROM unnest(%s, %s, %s, %s)"
INSERT_KEYS = "INSERT INTO ledger.subject_keys (workspace_id, subject_id, wrapped_key) SELECT * FROM unnest(%s, %s, %s)"
DESTROY_KEYS = "SELECT ledger.destroy_key(w, s, at) FROM unnest(%s, %s, %s) AS ended (w, s, at)"
