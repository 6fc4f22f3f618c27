"""Backups of a ledger that is written to, on a real PostgreSQL: what is in them, and what they refuse."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from commands.tag import CreateTag
from ledger import merkle
from ledger.backup import tables
from ledger.backup.errors import BackupDiverged, LedgerDamaged
from ledger.backup.manifest import Segment
from ledger.backup.tables import TABLES
from ledger.postgres.copy_in import EVENT_COLUMNS
from ledger.values import new_id
from runners.backup import catalog
from runners.backup import making as backups
from runners.backup.place import Place
from runners.backup.reading import verify
from runners.errors import PlaceTaken, PlaceUnusable
from runners.progress import Progress
from tests.support.backups import Claiming, backed_up, contents, restored
from tests.support.handling import open_handling
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.sealing import administrator
from tests.support.servers import Database, PostgresServer


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    async with open_ledger(database.app_dsn) as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def stored(place: Path) -> dict[str, str]:
    """Every file of a place with its SHA-256."""
    files = (file for file in place.rglob("*") if file.is_file())
    return {str(file.relative_to(place)): sha256(file.read_bytes()).hexdigest() for file in files}


def is_whole(place: Path, number: int | None = None) -> bool:
    found = Place(str(place))
    manifest = catalog.load(found, number)
    return verify(found, manifest, trusted=None, progress=Progress("verify")).events == manifest.events


def test_every_table_of_the_ledger_is_kept_or_declared(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'ledger'").fetchall()
    assert sorted(table.table for table in TABLES) == sorted(row[0] for row in rows), "see ledger/backup/tables.py"


def test_every_column_of_an_event_is_kept(database: Database) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = 'events'"
        ).fetchall()
    assert sorted(EVENT_COLUMNS.replace(",", " ").split()) == sorted(row[0] for row in rows)


async def test_a_segment_can_be_checked_with_nothing_of_ours(
    ledger: OpenLedger, database: Database, place: Path
) -> None:
    workspace = Claiming(ledger.appender, new_id())
    await workspace.act(20)
    manifest = backed_up(database, place).manifest
    [backup] = [one for one in manifest.workspaces if one.id == workspace.workspace_id]
    leaves: list[bytes] = []
    for segment in backup.segments:
        for line in gzip.decompress((place / segment.entries.name).read_bytes()).splitlines():
            leaf, _, envelope = line.partition(b" ")
            assert sha256(b"\x00" + envelope).hexdigest() == leaf.decode()
            leaves.append(bytes.fromhex(leaf.decode()))
    head = await ledger.reader.head(workspace.workspace_id)
    assert merkle.root_of(leaves) == merkle.root(merkle.unpack(head.frontier))


async def test_a_second_backup_adds_only_what_is_new(ledger: OpenLedger, database: Database, place: Path) -> None:
    workspace = Claiming(ledger.appender, new_id())
    await workspace.act(60)
    first = backed_up(database, place)
    before = stored(place)
    head = await workspace.act(3)
    second = backed_up(database, place)
    after = stored(place)
    assert before.items() <= after.items(), "an object of the first backup was changed"
    assert second.events_added == head - first.manifest.events
    assert second.bytes_added < first.bytes_added / 3
    assert backed_up(database, place).events_added == 0
    assert all(is_whole(place, number) for number in (1, 2, 3))


async def test_frequent_backups_leave_few_segments(ledger: OpenLedger, database: Database, place: Path) -> None:
    workspace = new_id()
    written = 0
    for _ in range(40):
        await ledger.appender.append(unit(workspace, *(a_pipeline(f"p{n}") for n in range(5))))
        written += backed_up(database, place).events_added
    manifest = catalog.load(Place(str(place)))
    assert len(manifest.workspaces[0].segments) <= 8
    assert written <= 200 * 8, "each event is written a few times at most"
    assert is_whole(place)


async def test_segments_end_where_they_are_full(
    ledger: OpenLedger, database: Database, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "SEGMENT_EVENTS_MAX", 40)
    workspace = Claiming(ledger.appender, new_id())
    head = await workspace.act(40)
    [backup] = backed_up(database, place).manifest.workspaces
    assert [len(range(one.first, one.last + 1)) for one in backup.segments[:-1]] == [40] * (head // 40)
    assert is_whole(place)
    await workspace.act(10)
    [again] = backed_up(database, place).manifest.workspaces
    assert full(backup.segments) == full(again.segments)[: len(full(backup.segments))]


def full(segments: tuple[Segment, ...]) -> list[Segment]:
    return [segment for segment in segments if segment.entries.rows == 40]


async def test_a_backup_while_writers_append_is_of_one_moment(
    ledger: OpenLedger, database: Database, postgres: PostgresServer, place: Path
) -> None:
    workspaces = [Claiming(ledger.appender, new_id(), seed=seed) for seed in range(3)]
    for workspace in workspaces:
        await workspace.act(5)
    writing = [asyncio.create_task(workspace.act(80)) for workspace in workspaces]
    made = [await asyncio.to_thread(backed_up, database, place) for _ in range(4)]
    await asyncio.gather(*writing)
    assert [one.manifest.number for one in made] == [1, 2, 3, 4]
    target = postgres.create_database()
    restored(place, target)
    for workspace, backup in zip(sorted(workspaces, key=_id), made[-1].manifest.workspaces, strict=True):
        found = contents(target, workspace.workspace_id)
        assert dict((key, id_) for key, _, id_ in found["claims"]) == {  # noqa: C402
            key: stream.id for key, stream in workspace.claims_at[backup.position].items()
        }
        assert len(found["events"]) == backup.position
    postgres.drop_database(target.name)


def _id(workspace: Claiming) -> bytes:
    return workspace.workspace_id.bytes


async def test_commands_that_changed_nothing_are_kept(database: Database, place: Path) -> None:
    async with open_handling(database.app_dsn) as handling:
        created = await handling.accept(CreateTag(name="a", id=new_id()))
        again, unchanged = CreateTag(name="a", id=created.id), new_id()
        assert (await handling.accept(again, id=unchanged)).events == []
        [backup] = backed_up(database, place).manifest.workspaces
        assert backup.open_commands is not None
        assert backup.open_commands.rows == 1
        await handling.accept(CreateTag(name="b"))
        [backup] = backed_up(database, place).manifest.workspaces
        assert backup.open_commands is None
        assert sum(segment.commands.rows for segment in backup.segments) == 3


async def test_two_backups_at_once_never_share_a_number(ledger: OpenLedger, database: Database, place: Path) -> None:
    await ledger.appender.append(unit(new_id(), a_pipeline()))
    outcomes = await asyncio.gather(
        *(asyncio.to_thread(backed_up, database, place) for _ in range(4)), return_exceptions=True
    )
    numbers = [one.manifest.number for one in outcomes if isinstance(one, backups.Made)]
    assert all(isinstance(one, backups.Made | PlaceTaken) for one in outcomes)
    assert sorted(numbers) == catalog.numbers(Place(str(place)))
    assert is_whole(place)


async def test_a_changed_event_is_refused_by_its_position(ledger: OpenLedger, database: Database, place: Path) -> None:
    workspace = new_id()
    for number in range(20):
        await ledger.appender.append(unit(workspace, a_pipeline(f"p{number}")))
    backed_up(database, place)
    before = stored(place)
    for number in range(20, 40):
        await ledger.appender.append(unit(workspace, a_pipeline(f"p{number}")))
    with administrator(database) as connection:
        connection.execute("UPDATE ledger.events SET actor = 'user:eve' WHERE position = 31")
    with pytest.raises(LedgerDamaged) as caught:
        backed_up(database, place)
    assert (caught.value.position, caught.value.code) == (31, "ledger_corrupt")
    assert stored(place) == before
    assert is_whole(place)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM ledger.events WHERE position = 7", "UPDATE ledger.heads SET frontier = ''"]
)
async def test_a_log_that_does_not_add_up_is_refused(
    ledger: OpenLedger, database: Database, place: Path, statement: str
) -> None:
    workspace = new_id()
    for number in range(10):
        await ledger.appender.append(unit(workspace, a_pipeline(f"p{number}")))
    with administrator(database) as connection:
        connection.execute(statement.encode())
    with pytest.raises(LedgerDamaged) as caught:
        backed_up(database, place)
    assert caught.value.position in {7, 10}
    assert catalog.numbers(Place(str(place))) == []


async def test_a_place_with_another_history_is_refused(
    ledger: OpenLedger, database: Database, postgres: PostgresServer, place: Path
) -> None:
    workspace = new_id()
    await ledger.appender.append(unit(workspace, a_pipeline()))
    backed_up(database, place)
    other = postgres.create_database()
    with pytest.raises(BackupDiverged):
        backed_up(other, place)
    async with open_ledger(other.app_dsn) as foreign:
        await foreign.appender.append(unit(workspace, a_pipeline()))
        with pytest.raises(BackupDiverged):
            backed_up(other, place)
    assert catalog.numbers(Place(str(place))) == [1]
    postgres.drop_database(other.name)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, database: Database) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlaceUnusable):
        backed_up(database, tmp_path / "file" / "below")
    with pytest.raises(PlaceUnusable):
        Place("nonsense://bucket")


async def test_of_keys_only_the_newest_copy_exists(
    ledger: OpenLedger, database: Database, postgres: PostgresServer, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was destroyed since is in no backup any more, and a restore of an old one does not bring it back."""
    changed = [tables.Newest(one.table) if one.table == "refused_checkpoints" else one for one in TABLES]
    monkeypatch.setattr(tables, "TABLES", tuple(changed))
    insert = "INSERT INTO ledger.refused_checkpoints VALUES ('a', 1, %s, 'secret', 'x')"
    await ledger.appender.append(unit(new_id(), a_pipeline()))
    with administrator(database) as connection:
        connection.execute(insert, (b"0" * 32,))
        backed_up(database, place)
        assert secrets_in(place) == [b"secret"]
        connection.execute("DELETE FROM ledger.refused_checkpoints")
    backed_up(database, place)
    assert secrets_in(place) == []
    assert is_whole(place, 1)
    target = postgres.create_database()
    restored(place, target, number=1, derived_claims=True)
    with psycopg.connect(target.owner_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ledger.refused_checkpoints").fetchone() == (0,)
    postgres.drop_database(target.name)


def secrets_in(place: Path) -> list[bytes]:
    """The secrets that any file of the place holds."""
    return [b"secret" for file in place.rglob("*.gz") if b"secret" in gzip.decompress(file.read_bytes())]
