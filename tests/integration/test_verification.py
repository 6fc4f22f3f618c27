"""Whatever a superuser does to events in PostgreSQL, `verify` names the position.

One sealed database; each case tampers in a transaction of its own, looks at it from inside, and rolls back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from ledger.archive.blocking import BlockingArchive
from ledger.deployment import Deployment
from ledger.postgres.scan import Scan, open_scan
from ledger.verification import Finding, verify_database
from tests.support.sealing import Forger, open_sealed
from tests.support.servers import Database, PostgresServer

CONSTRAINTS = ("events_pkey", "events_workspace_id_stream_id_stream_kind_version_key", "events_leaf_hash_check")
STEPS = (5, 300, 4)
SEALED = sum(STEPS)
HEAD = SEALED + 2


class SealedDatabase(NamedTuple):
    database: Database
    workspace: UUID
    other: UUID
    deployment: Deployment


@pytest.fixture(scope="module")
async def sealed(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    database = postgres.create_database()
    async with open_sealed(database, tmp_path_factory.mktemp("keys")) as running:
        workspace = await running.workspace(*STEPS)
        await running.append(workspace, HEAD - SEALED)
        other = await running.workspace(3)
        # `other` sealed the tail of `workspace` too; this one stays unsealed.
        await running.append(other, 1)
        found = SealedDatabase(database, workspace, other, running.deployment)
    yield found
    postgres.drop_database(database.name)


@contextmanager
def tampering(sealed: SealedDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A superuser for whom no trigger fires and no constraint of the table holds, and whose work is undone."""
    with psycopg.connect(sealed.database.owner_dsn, options="-c TimeZone=UTC") as connection:
        connection.execute("SET session_replication_role = replica")
        for constraint in CONSTRAINTS:
            connection.execute(f"ALTER TABLE ledger.events DROP CONSTRAINT {constraint}")
        try:
            yield connection
        finally:
            connection.rollback()


def findings(connection: psycopg.Connection[Any], sealed: SealedDatabase) -> dict[UUID, Finding]:
    from ledger.postgres import scan

    connection.adapters.register_loader("timestamptz", scan._AnyTime)
    with BlockingArchive(sealed.database.app_dsn) as archive:
        reports = verify_database(Scan(connection, archive), public_key=sealed.deployment.public_key)
        return {report.log_id: report.finding for report in reports if report.finding is not None}


def the_finding(connection: psycopg.Connection[Any], sealed: SealedDatabase) -> tuple[str, int, int]:
    found = findings(connection, sealed)
    assert list(found) == [sealed.workspace], found
    finding = found[sealed.workspace]
    return finding.code, finding.position, finding.last


def test_an_untouched_database_verifies(sealed: SealedDatabase) -> None:
    with open_scan(sealed.database.app_dsn) as scan:
        reports = {report.log_id: report for report in verify_database(scan)}
    assert [report.finding for report in reports.values()] == [None] * 3
    assert (reports[sealed.workspace].events, reports[sealed.workspace].sealed) == (HEAD, HEAD)
    assert (reports[sealed.other].events, reports[sealed.other].sealed) == (4, 3)
    assert reports[sealed.workspace].origin == f"{sealed.deployment.name}/{sealed.workspace}"


CHANGES = {
    "uuid": ["gen_random_uuid()"],
    "text": ["{column} || 'x'", "'X' || substr({column}, 2)", "''", "reverse({column})"],
    "bigint": ["-{column}", "{column} + 100000"],
    "integer": ["{column} + 1"],
    "smallint": ["{column} + 1"],
    "bytea": [
        "''",
        "{column} || '\\x20'",
        "set_byte({column}, 0, get_byte({column}, 0) # 1)",
        "set_byte({column}, length({column}) - 1, get_byte({column}, length({column}) - 1) # 128)",
    ],
    "timestamp with time zone": [
        "{column} + interval '1 microsecond'",
        "'infinity'",
        "'-infinity'",
        "'10000-01-01'",
        "'0001-01-01 BC'",
    ],
}


def columns(sealed: SealedDatabase) -> list[tuple[str, str]]:
    with psycopg.connect(sealed.database.owner_dsn) as connection:
        return connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'ledger' AND table_name = 'events' ORDER BY ordinal_position"
        ).fetchall()


@pytest.mark.parametrize("position", [1, 150, HEAD])
def test_any_change_of_any_column_is_found_at_its_position(sealed: SealedDatabase, position: int) -> None:
    tried = 0
    with tampering(sealed) as connection:
        for column, kind in columns(sealed):
            for change in CHANGES[kind]:
                if (column, change) == ("workspace_id", "gen_random_uuid()"):
                    continue  # moves the event into another ledger: see below
                connection.execute("SAVEPOINT untouched")
                done = connection.execute(
                    f"UPDATE ledger.events SET {column} = {change.format(column=column)}"
                    " WHERE workspace_id = %s AND position = %s",
                    (sealed.workspace, position),
                )
                assert done.rowcount == 1
                code, found, _ = the_finding(connection, sealed)
                if column == "position":
                    # A negative position is found where it stands, a later one where it is missing.
                    assert (code, found) in {("event_missing", position), ("event_inserted", -position)}
                else:
                    assert (code, found) == ("event_changed", position), (column, change)
                connection.execute("ROLLBACK TO untouched")
                tried += 1
    assert tried > 35


def test_every_byte_of_the_data_counts(sealed: SealedDatabase) -> None:
    where = (sealed.workspace, 7)
    with tampering(sealed) as connection:
        row = connection.execute(
            "SELECT length(data) FROM ledger.events WHERE workspace_id = %s AND position = %s", where
        ).fetchone()
        assert row is not None
        for number in range(row[0]):
            connection.execute("SAVEPOINT untouched")
            connection.execute(
                f"UPDATE ledger.events SET data = set_byte(data, {number}, get_byte(data, {number}) # 4)"
                " WHERE workspace_id = %s AND position = %s",
                where,
            )
            assert the_finding(connection, sealed) == ("event_changed", 7, 7)
            connection.execute("ROLLBACK TO untouched")


REMOVE = "DELETE FROM ledger.events WHERE workspace_id = %(w)s AND position = {0}"
RENUMBER = "UPDATE ledger.events SET position = position {0} WHERE workspace_id = %(w)s AND position > {1}"
COPY_COLUMNS = """stream_kind, stream_id, version, event_id, type, schema, data, actor, command_id, correlation_id,
    causation_id, occurred_at, recorded_at, leaf_hash"""
INSERT = (
    "INSERT INTO ledger.events SELECT workspace_id, {0}, " + COPY_COLUMNS + " FROM ledger.events"
    " WHERE workspace_id = %(w)s AND position = 3"
)
SWAP = """
    UPDATE ledger.events SET position = CASE position WHEN 8 THEN 200 ELSE 8 END
    WHERE workspace_id = %(w)s AND position IN (8, 200)
"""
FRONTIER = """
    UPDATE ledger.heads SET frontier = set_byte(frontier, 0, 1 # get_byte(frontier, 0)) WHERE workspace_id = %(w)s
"""
TILE = """
    UPDATE ledger.tiles SET hashes = set_byte(hashes, 70, 1 # get_byte(hashes, 70))
    WHERE log_id = %(w)s AND level = 0 AND number = 0
"""
SHORT_TILE = """
    UPDATE ledger.tiles SET hashes = substr(hashes, 1, 64) WHERE log_id = %(w)s AND level = 0 AND number = 1
"""
CHECKPOINT = "UPDATE ledger.signed_checkpoints SET {0} WHERE log_id = %(w)s AND size = 305"
NOTE = "note = (SELECT note FROM ledger.signed_checkpoints WHERE {0})"
STRUCTURE = {
    "removed": ([REMOVE.format(8)], ("event_missing", 8)),
    "the first removed": ([REMOVE.format(1)], ("event_missing", 1)),
    "the last removed": ([REMOVE.format(HEAD)], ("event_missing", HEAD)),
    "removed, and the rest moved up": ([REMOVE.format(8), RENUMBER.format("- 1", 8)], ("event_changed", 8)),
    "inserted after the head": ([INSERT.format(HEAD + 1)], ("event_inserted", HEAD + 1)),
    "inserted far after the head": ([INSERT.format(HEAD + 50)], ("event_missing", HEAD + 1)),
    "inserted before the first": ([INSERT.format(0)], ("event_inserted", 0)),
    "inserted twice": ([INSERT.format(8)], ("event_changed", 8)),
    "inserted, and the rest moved on": ([RENUMBER.format("+ 1", 7), INSERT.format(8)], ("event_changed", 8)),
    "swapped": ([SWAP], ("event_changed", 8)),
    "all removed": (["DELETE FROM ledger.events WHERE workspace_id = %(w)s"], ("event_missing", 1)),
    "truncated with its head": (
        [
            "DELETE FROM ledger.events WHERE workspace_id = %(w)s AND position > 100",
            "UPDATE ledger.heads SET position = 100 WHERE workspace_id = %(w)s",
        ],
        ("event_missing", 101),
    ),
    "the head alone moved back": (
        ["UPDATE ledger.heads SET position = 100 WHERE workspace_id = %(w)s"],
        ("event_inserted", 101),
    ),
    "the head alone lost": (["DELETE FROM ledger.heads WHERE workspace_id = %(w)s"], ("event_inserted", 1)),
    "the workspace dropped whole": (
        [
            "DELETE FROM ledger.events WHERE workspace_id = %(w)s",
            "DELETE FROM ledger.heads WHERE workspace_id = %(w)s",
            "DELETE FROM ledger.signed_checkpoints WHERE log_id = %(w)s",
            "DELETE FROM ledger.tiles WHERE log_id = %(w)s",
        ],
        ("event_missing", 1),
    ),
    "the frontier changed": ([FRONTIER], ("head_diverged", HEAD + 1)),
    "a tile changed": ([TILE], ("tile_disagrees", 3)),
    "a tile truncated": ([SHORT_TILE], ("tile_truncated", 259)),
    "a tile above removed": (["DELETE FROM ledger.tiles WHERE log_id = %(w)s AND level = 1"], ("tile_truncated", 1)),
    "a stored root changed": ([CHECKPOINT.format("root = sha256('x')")], ("checkpoint_rewritten", 6)),
    "a signature changed": (
        [CHECKPOINT.format("note = overlay(note placing 'AAAA' from length(note) - 20 for 4)")],
        ("checkpoint_not_signed", 6),
    ),
    "a checkpoint of another size put in its place": (
        [CHECKPOINT.format(NOTE.format("log_id = %(w)s AND size = 5"))],
        ("checkpoint_rewritten", 6),
    ),
    "a checkpoint of another workspace put in its place": (
        [CHECKPOINT.format(NOTE.format("log_id = %(o)s LIMIT 1"))],
        ("checkpoint_foreign", 6),
    ),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_removing_inserting_and_swapping_are_found_at_their_position(sealed: SealedDatabase, name: str) -> None:
    statements, expected = STRUCTURE[name]
    with tampering(sealed) as connection:
        for statement in statements:
            connection.execute(statement, {"w": sealed.workspace, "o": sealed.other})
        assert the_finding(connection, sealed)[:2] == expected


def test_an_event_that_is_moved_into_another_ledger_is_missed_and_found(sealed: SealedDatabase) -> None:
    with tampering(sealed) as connection:
        connection.execute(
            "UPDATE ledger.events SET workspace_id = %s WHERE workspace_id = %s AND position = 100",
            (sealed.other, sealed.workspace),
        )
        found = findings(connection, sealed)
        assert {log: finding[:2] for log, finding in found.items()} == {
            sealed.workspace: ("event_missing", 100),
            sealed.other: ("event_missing", 5),
        }
        new = UUID(int=77)
        connection.execute("UPDATE ledger.events SET workspace_id = %s WHERE workspace_id = %s", (new, sealed.other))
        assert findings(connection, sealed)[new].code == "event_inserted"


def test_a_workspace_that_was_moved_away_is_not_missed(sealed: SealedDatabase) -> None:
    with tampering(sealed) as connection:
        connection.execute("UPDATE ledger.heads SET presence = 'gone' WHERE workspace_id = %s", (sealed.workspace,))
        connection.execute("DELETE FROM ledger.events WHERE workspace_id = %s", (sealed.workspace,))
        with BlockingArchive(sealed.database.app_dsn) as archive:
            reports = {report.log_id: report for report in verify_database(Scan(connection, archive))}
    assert [report.finding for report in reports.values()] == [None] * 3
    assert not reports[sealed.workspace].is_here


CHANGE = "UPDATE ledger.events SET actor = 'user:eve' WHERE workspace_id = %s AND position = %s"


@pytest.mark.parametrize("position", [1, 5, 6, 200, SEALED, HEAD])
def test_a_forger_who_fits_the_rest_is_convicted_by_what_was_sealed(sealed: SealedDatabase, position: int) -> None:
    since, until = next(
        (before + 1, size) for before, size in ((0, 5), (5, 305), (305, 309), (309, 311)) if position <= size
    )
    with tampering(sealed) as connection:
        forger = Forger(connection, sealed.workspace)
        connection.execute(CHANGE, (sealed.workspace, position))
        forger.fix_leaf_hashes()
        assert the_finding(connection, sealed) == ("event_changed", position, position)
        forger.fix_head()
        assert the_finding(connection, sealed) == ("event_changed", position, position)
        forger.fix_tiles(size=HEAD)
        assert the_finding(connection, sealed) == ("history_rewritten", since, until)
        forger.fix_roots(size=HEAD)
        assert the_finding(connection, sealed) == ("checkpoint_rewritten", since, until)
        # Without its checkpoints the deployment's own log still says what they were.
        connection.execute("DELETE FROM ledger.signed_checkpoints WHERE log_id = %s", (sealed.workspace,))
        assert the_finding(connection, sealed) == ("history_rewritten", since, until)


OWN_LOG = {
    "an entry changed": "UPDATE ledger.deployment_entries SET entry = replace(entry, E'\\n5\\n', E'\\n4\\n')",
    "an entry removed": "DELETE FROM ledger.deployment_entries WHERE number = 1",
    "the last entry removed": "DELETE FROM ledger.deployment_entries WHERE number ="
    " (SELECT max(number) FROM ledger.deployment_entries)",
    "entries swapped": "UPDATE ledger.deployment_entries SET number = 1 - number WHERE number < 2",
}


@pytest.mark.parametrize("name", OWN_LOG)
def test_the_deployments_own_log_cannot_be_changed_either(sealed: SealedDatabase, name: str) -> None:
    with tampering(sealed) as connection:
        connection.execute("ALTER TABLE ledger.deployment_entries DROP CONSTRAINT deployment_entries_pkey")
        connection.execute(OWN_LOG[name].encode())
        assert sealed.deployment.id in findings(connection, sealed)


def test_another_key_is_not_believed(sealed: SealedDatabase) -> None:
    with open_scan(sealed.database.app_dsn) as scan:
        reports = list(verify_database(scan, public_key=b"\x01" + sealed.deployment.public_key[1:]))
    assert {report.finding.code for report in reports if report.finding} == {"checkpoint_not_signed"}
    assert all(report.finding for report in reports)
