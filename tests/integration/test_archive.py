"""Archived positions on real servers: every read goes on, nothing else can leave the log, and what comes back is what
left, to the byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from commands.pipeline import RegisterPipeline, UpdatePipeline
from commands.rejections import NameTaken
from commands.tag import CreateTag
from commands.workspace import CreateWorkspace
from ledger import merkle
from ledger.archive.errors import (
    ArchiveAltered,
    ArchiveGone,
    ArchiveNotSealed,
    ArchiveOutOfOrder,
    ArchiveRestored,
    ArchiveStoreUnusable,
    NoSuchArchive,
    NothingToArchive,
)
from ledger.codec import canonical
from ledger.postgres import archives
from ledger.postgres.scan import open_scan
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from ledger.values import CONTROL_WORKSPACE, StreamId
from ledger.verification import verify_database
from projections import orders
from projections.compare import verify
from projections.moments import When
from projections.projector import Projector
from projections.query import Queries
from projections.rebuild import rebuild
from runners import archive as program
from runners.errors import NoSuchWorkspace
from runners.settings import ArchiveSettings
from tests.support.backups import backed_up, contents, restored
from tests.support.handling import Handling, open_handling
from tests.support.servers import Database, PostgresServer

WORKSPACE = "team"
CHANGES = 12


class Team:
    """A workspace with a sealed past."""

    def __init__(self, database: Database, handling: Handling, sealer: Sealer, store: Path) -> None:
        self.database, self.handling, self.sealer, self.store = database, handling, sealer, store
        self.settings = ArchiveSettings(dsn=database.app_dsn, owner_dsn=database.owner_dsn)
        self.id = handling.workspace_id
        self.reader = handling.ledger.reader
        self.pool = handling.ledger.pool

    @property
    def url(self) -> str:
        return f"file://{self.store}"

    async def archive(self, before: Any, url: str | None = None) -> Any:
        [made] = await program.archive(self.settings, WORKSPACE, before=before, url=url or self.url)
        return made

    def log(self) -> list[tuple[Any, ...]]:
        """The rows that PostgreSQL itself holds."""
        with psycopg.connect(self.database.owner_dsn) as owner:
            return owner.execute(
                "SELECT * FROM ledger.events WHERE workspace_id = %s ORDER BY position", (self.id,), binary=True
            ).fetchall()

    def files(self, pattern: str = "*.parquet") -> list[Path]:
        return sorted(self.store.rglob(pattern))


@pytest.fixture
async def team(database: Database, tmp_path: Path) -> AsyncIterator[Team]:
    async with open_handling(database.app_dsn) as handling:
        control = Handling(handling.ledger, CONTROL_WORKSPACE)
        await control.accept(CreateWorkspace(id=handling.workspace_id, name=WORKSPACE))
        await handling.accept(RegisterPipeline(name="digits"))
        for number in range(CHANGES - 2):
            await handling.accept(UpdatePipeline(pipeline="digits", description=str(number)))
        await handling.accept(CreateTag(name="late"))
        key = tmp_path / "checkpoint.pem"
        make_key_file(key)
        sealer = Sealer(handling.ledger.pool, KeyFile(key))
        await sealer.start()
        await sealer.seal()
        yield Team(database, handling, sealer, tmp_path / "store")


async def test_every_read_finds_what_was_archived(team: Team) -> None:
    projector = Projector(team.pool, team.reader)
    await projector.start()
    await projector.catch_up(team.id)
    queries = Queries(team.pool, team.reader)
    before, stored = await _answers(team, queries), team.log()

    made = await team.archive(9)

    assert [row[1] for row in team.log()] == [9, 10, 11, 12]
    assert await _answers(team, queries) == before
    assert await team.reader.rows_between(team.id, after=0, until=20) == stored
    compared = await verify(team.pool, team.reader, team.id)
    assert (compared.equal, compared.events) == (True, CHANGES)
    await orders.order_rebuild(team.pool, team.id, projection=None, ordered_by="test")
    assert await rebuild(team.pool, team.reader, team.id) == CHANGES
    assert (await verify(team.pool, team.reader, team.id)).equal
    assert (made.first_position, made.last_position) == (1, 8)


async def test_commands_go_on_with_entities_whose_events_are_archived(team: Team) -> None:
    await team.archive(12)
    async with open_handling(team.database.app_dsn, team.id) as fresh:
        receipt = await fresh.accept(UpdatePipeline(pipeline="digits", description="after"))
        assert receipt.version == CHANGES
        assert isinstance(await fresh.answer(RegisterPipeline(name="digits")), NameTaken)
        stream = StreamId("pipeline", receipt.id)
        assert [event.version for event in await fresh.ledger.reader.read_stream(team.id, stream)] == [*range(1, 13)]
        late = await fresh.ledger.reader.read_stream(team.id, stream, after_version=5, until=9)
        assert [event.version for event in late] == [6, 7, 8, 9]


async def test_an_archive_proves_itself_and_is_plain_parquet(team: Team) -> None:
    made = await team.archive(9)
    manifest = await team.reader.archived.manifest(made)
    rows = [row for file in team.files() for row in pq.read_table(file).to_pylist()]
    assert [row["position"] for row in rows] == list(range(1, 9))
    assert manifest.checkpoint.splitlines()[1] == str(CHANGES)
    for envelope, leaf in await team.reader.read_published(team.id, after=0, until=8, limit=10):
        assert merkle.leaf_hash(canonical(envelope)) == leaf == rows[envelope.position - 1]["leaf_hash"]
    events = await team.reader.read(CONTROL_WORKSPACE, after=0)
    assert [event.type for event in events] == ["workspace.created", "archive.made"]


async def test_what_comes_back_is_what_left_and_can_leave_again(team: Team) -> None:
    stored = team.log()
    first, second = await team.archive(5), await team.archive(9)
    with pytest.raises(ArchiveOutOfOrder):
        await program.restore(team.settings, str(first.id))
    await program.restore(team.settings, str(second.id)[:13])
    await program.restore(team.settings, str(first.id))
    assert team.log() == stored
    with pytest.raises(ArchiveRestored):
        await program.restore(team.settings, str(first.id))
    again = await team.archive(5)
    assert again.id != first.id
    assert len(team.log()) == CHANGES - 4
    events = await team.reader.read(CONTROL_WORKSPACE, after=1)
    assert [event.type for event in events] == [
        *("archive.made", "archive.made", "archive.restored", "archive.restored", "archive.made")
    ]


async def test_an_archive_that_crashed_before_the_end_is_finished_by_a_repeat(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(archives, "remove", crash)
        with pytest.raises(ConnectionResetError):
            await team.archive(9)
    assert len(team.log()) == CHANGES
    await team.sealer.seal()
    await team.handling.accept(CreateTag(name="meanwhile"))
    await team.sealer.seal()
    await team.archive(9)
    assert len(team.log()) == CHANGES + 1 - 8
    assert [event.type for event in await team.reader.read(CONTROL_WORKSPACE, after=1)] == ["archive.made"]


async def test_positions_beyond_the_last_signed_checkpoint_stay(team: Team) -> None:
    await team.handling.accept(CreateTag(name="unsealed"))
    with pytest.raises(ArchiveNotSealed):
        await team.archive(CHANGES + 2)
    assert (len(team.log()), team.files("*")) == (CHANGES + 1, [])


async def test_bad_moments_workspaces_archives_and_stores_change_nothing(team: Team) -> None:
    with pytest.raises(NothingToArchive):
        await team.archive(1)
    with pytest.raises(NoSuchWorkspace):
        await program.archive(team.settings, "nobody", before=5, url=team.url)
    with pytest.raises(NoSuchArchive):
        await program.restore(team.settings, "0190")
    team.store.parent.joinpath("file").write_text("")
    for url in ("nonsense", "gopher://x/y", f"file://{team.store.parent}/file"):
        with pytest.raises(ArchiveStoreUnusable):
            await team.archive(5, url)
    assert len(team.log()) == CHANGES
    assert len(await team.reader.read(CONTROL_WORKSPACE, after=0)) == 1


async def test_an_archive_that_is_gone_or_altered_is_named_by_position(team: Team) -> None:
    made = await team.archive(9)
    [file], [manifest] = team.files(), team.files("manifest.json")
    good, told = file.read_bytes(), manifest.read_bytes()

    async def refused(error: type[Exception]) -> Any:
        async with open_handling(team.database.app_dsn, team.id) as fresh:
            with pytest.raises(error) as refusal:
                await fresh.ledger.reader.read(team.id, after=0)
            with pytest.raises(error):
                await program.restore(team.settings, str(made.id))
        return refusal.value

    file.write_bytes(good[:-20] + bytes(20))
    altered = await refused(ArchiveAltered)
    assert (altered.first, altered.last, str(file.name) in altered.url) == (1, 8, True)
    file.unlink()
    gone = await refused(ArchiveGone)
    assert (gone.first, gone.last) == (1, 8)
    file.write_bytes(good)
    manifest.write_bytes(told.replace(b'"last_position": 8', b'"last_position": 7'))
    await refused(ArchiveAltered)
    manifest.write_bytes(told)
    assert len(await team.reader.read(team.id, after=0)) == CHANGES


async def test_the_full_check_reads_archives_and_names_what_is_wrong_in_one(team: Team) -> None:
    await team.archive(9)
    assert _finding(team) is None
    [file, *_] = team.files()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert _finding(team) == ("archive_altered", 1)
    file.unlink()
    assert _finding(team) == ("archive_gone", 1)
    file.write_bytes(whole)
    assert _finding(team) is None


async def test_a_ledger_that_was_tampered_with_is_not_archived(team: Team) -> None:
    with psycopg.connect(team.database.owner_dsn) as owner:
        owner.execute("ALTER TABLE ledger.events DISABLE TRIGGER USER")
        owner.execute("UPDATE ledger.events SET actor = 'nobody' WHERE position = 3 AND workspace_id = %s", (team.id,))
        owner.execute("ALTER TABLE ledger.events ENABLE TRIGGER USER")
    with pytest.raises(ArchiveAltered) as altered:
        await team.archive(9)
    assert (altered.value.first, altered.value.last) == (3, 3)
    assert len(team.log()) == CHANGES


async def test_nothing_leaves_the_log_but_a_recorded_archive(team: Team) -> None:
    await team.archive(5)
    for dsn, statement in (
        (team.database.owner_dsn, "DELETE FROM ledger.events WHERE position = 6"),
        (team.database.owner_dsn, "DELETE FROM ledger.archives"),
        (team.database.owner_dsn, "UPDATE ledger.archives SET last_position = 12"),
        (team.database.app_dsn, "DELETE FROM ledger.events WHERE position < 5"),
        (team.database.app_dsn, "INSERT INTO ledger.archives SELECT * FROM ledger.archives"),
    ):
        with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error):
            connection.execute(statement.encode())
    assert len(team.log()) == CHANGES - 4


async def test_a_backup_holds_archived_positions_too(team: Team, postgres: PostgresServer, tmp_path: Path) -> None:
    """Also the first one, made when they had left the log already; a restored ledger holds them itself."""
    stored = team.log()
    await team.archive(9)
    for number in (1, 2):
        await asyncio.to_thread(backed_up, team.database, tmp_path / "backup")
        empty = postgres.create_database()
        await asyncio.to_thread(restored, tmp_path / "backup", empty, number=number)
        with psycopg.connect(empty.owner_dsn) as owner:
            rows = owner.execute(
                "SELECT * FROM ledger.events WHERE workspace_id = %s ORDER BY position", (team.id,), binary=True
            ).fetchall()
        assert rows[:CHANGES] == stored
        assert await asyncio.to_thread(contents, empty, team.id, until=CHANGES) == {
            **await asyncio.to_thread(contents, team.database, team.id, until=CHANGES),
            "events": (await asyncio.to_thread(contents, empty, team.id, until=CHANGES))["events"],
        }
        postgres.drop_database(empty.name)


async def test_readers_never_see_a_hole_while_positions_leave_and_come_back(team: Team) -> None:
    async def reading() -> None:
        while not done.is_set():
            events = await team.reader.read(team.id, after=0)
            assert [event.position for event in events] == list(range(1, CHANGES + 1))

    done = asyncio.Event()
    readers = [asyncio.create_task(reading()) for _ in range(3)]
    for _ in range(3):
        made = await team.archive(9)
        await program.restore(team.settings, str(made.id))
    done.set()
    await asyncio.gather(*readers)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 bucket, by its URL; the environment has what leads to it."""
    import boto3

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(
        Bucket="archive"
    )
    yield "s3://archive/everline"
    server.stop()


async def test_a_bucket_serves_as_well_as_a_directory(team: Team, bucket: str) -> None:
    stored = team.log()
    made = await team.archive(9, bucket)
    async with open_handling(team.database.app_dsn, team.id) as fresh:
        assert await fresh.ledger.reader.rows_between(team.id, after=0, until=20) == stored
    await program.restore(team.settings, str(made.id))
    assert team.log() == stored
    with pytest.raises(ArchiveStoreUnusable):
        await team.archive(9, "s3://no-such-bucket/x")


async def _answers(team: Team, queries: Queries) -> list[Any]:
    """What people and programs ask of old positions."""
    events = await team.reader.read(team.id, after=0)
    first, eighth = events[0], events[7]
    times = [first.recorded_at - timedelta(seconds=1), first.recorded_at, eighth.recorded_at, events[9].recorded_at]
    return [
        events,
        await team.reader.read(team.id, after=3, until=6),
        await team.reader.read(team.id, after=6, limit=4),
        await team.reader.read_at(team.id, [2, 9, 11]),
        [await team.reader.position_at(team.id, at) for at in times],
        [await team.reader.time_of(team.id, position) for position in (0, 1, 8, 9)],
        await team.reader.changed_streams(team.id, after=2, until=12, limit=10),
        await queries.events(team.id, limit=20),
        await queries.event(team.id, 3),
        await queries.get(team.id, "pipelines", "digits", when=When("4")),
        await queries.get(team.id, "pipelines", "digits", when=When(eighth.recorded_at.isoformat())),
        await queries.history(team.id, "pipelines", "digits"),
        await queries.diff(team.id, before="2", after="7"),
    ]


def _finding(team: Team) -> tuple[str, int] | None:
    """What the full check finds wrong with the workspace."""
    with open_scan(team.database.app_dsn) as scan:
        [report] = [report for report in verify_database(scan) if report.log_id == team.id]
    assert report.finding is not None or report.events == CHANGES
    return (report.finding.code, report.finding.position) if report.finding else None
