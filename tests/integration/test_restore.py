"""Restores on a real PostgreSQL: equal to what was backed up, at every point; damaged, they change nothing."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commands.tag import CreateTag, UpdateTag
from ledger import checkpoint, merkle
from ledger.backup import manifest as manifests
from ledger.backup.errors import (
    BackupDamaged,
    BackupError,
    BackupIncomplete,
    BackupNewer,
    CheckpointContradicted,
    ClaimsDiffer,
    KeyUntrusted,
    NotEmpty,
    PositionBeyondBackup,
    PositionInsideBatch,
)
from ledger.backup.segment import Compressor, lines
from ledger.checkpoint import VerifierKey
from ledger.codec import canonical
from ledger.postgres.read import COLUMNS, LedgerReader, envelope
from ledger.values import new_id
from runners.backup import catalog
from runners.backup.place import Place
from runners.errors import InvalidPoint, NoBackup, UnknownWorkspace
from tests.support.backups import Claiming, backed_up, contents, is_empty, restored
from tests.support.handling import Handling, open_handling
from tests.support.ledgers import OpenLedger, a_pipeline, open_ledger, unit
from tests.support.sealing import SealedLedger, administrator, open_sealed
from tests.support.servers import Database, PostgresServer


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    async with open_ledger(database.app_dsn) as opened:
        yield opened


@pytest.fixture
async def workspace(ledger: OpenLedger) -> Claiming:
    """With a history to restore."""
    made = Claiming(ledger.appender, new_id(), seed=7)
    await made.act(60)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def target(postgres: PostgresServer) -> Iterator[Database]:
    """Where to restore to."""
    made = postgres.create_database()
    yield made
    postgres.drop_database(made.name)


async def test_a_restored_ledger_is_the_one_that_was_backed_up(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    head = backed_up(database, place).manifest.events
    [done] = restored(place, target)
    assert (done.position, done.backed_up) == (head, head)
    assert contents(target, workspace.workspace_id) == contents(database, workspace.workspace_id)


async def test_a_restored_ledger_says_where_it_comes_from_and_goes_on(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    head = backed_up(database, place).manifest.events
    restored(place, target, reason="the disk died")
    async with open_ledger(target.app_dsn) as ledger:
        appended = await ledger.appender.append(unit(workspace.workspace_id, a_pipeline("after")))
        events = await ledger.reader.read(workspace.workspace_id, after=head - 1)
        assert [event.position for event in events] == [head, head + 1, head + 2]
        record: Any = events[1].event
        assert (record.type, record.position, record.reason) == ("restoration.recorded", head, "the disk died")
        assert events[0].recorded_at < events[1].recorded_at < events[2].recorded_at
        assert appended.head == head + 2
        await _frontier_fits(ledger.reader, target, workspace)


async def _frontier_fits(reader: LedgerReader, database: Database, workspace: Claiming) -> None:
    """The head's frontier is that of the events, each hashed anew."""
    head = await reader.head(workspace.workspace_id)
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM ledger.events ORDER BY position".encode()).fetchall()
    leaves = [merkle.leaf_hash(canonical(envelope(row))) for row in rows]
    assert leaves == [row[15] for row in rows]
    assert merkle.root_of(leaves) == merkle.root(merkle.unpack(head.frontier))


async def test_command_ids_stay_idempotent(database: Database, target: Database, place: Path) -> None:
    create, change, nothing = new_id(), new_id(), new_id()
    async with open_handling(database.app_dsn) as handling:
        made = await handling.accept(CreateTag(name="a"), id=create)
        changed = await handling.accept(UpdateTag(tag="a", color="red"), id=change)
        unchanged = await handling.accept(UpdateTag(tag="a", color="red"), id=nothing)
        backed_up(database, place)
    restored(place, target)
    async with open_handling(target.app_dsn, handling.workspace_id) as again:
        position = await again.position()
        for command, id_, first in (
            (CreateTag(name="a"), create, made),
            (UpdateTag(tag="a", color="red"), change, changed),
            (UpdateTag(tag="a", color="red"), nothing, unchanged),
        ):
            answer = await again.accept(command, id=id_)
            assert answer.repeated
            assert (answer.first_position, answer.last_position) == (first.first_position, first.last_position)
        assert await again.position() == position


async def test_the_relay_uses_an_epoch_that_was_never_used(
    ledger: OpenLedger, workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    async with ledger.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO ledger.relays (workspace_id, position, epoch) VALUES (%s, 9, 41)", (workspace.workspace_id,)
        )
    head = backed_up(database, place).manifest.events
    restored(place, target)
    with psycopg.connect(target.owner_dsn) as connection:
        [(position, epoch)] = connection.execute("SELECT position, epoch FROM ledger.relays").fetchall()
    assert position == head
    assert epoch > 10_000_000


async def test_every_earlier_point_can_be_restored(
    workspace: Claiming, database: Database, postgres: PostgresServer, place: Path
) -> None:
    backed_up(database, place)
    points = random.Random(3).sample(sorted(workspace.claims_at), 6)  # noqa: S311 - a choice, no secret
    for position in [0, *points]:
        target = postgres.create_database()
        [done] = restored(place, target, f"{workspace.workspace_id}={position}")
        assert done.position == position
        assert_is_as_of(position, workspace, database=database, target=target)
        postgres.drop_database(target.name)


def assert_is_as_of(position: int, workspace: Claiming, *, database: Database, target: Database) -> None:
    """The log is cut there, and all else is what it was when the log ended there."""
    expected = contents(database, workspace.workspace_id, until=position)
    found = contents(target, workspace.workspace_id)
    assert found["events"] == expected["events"]
    assert found["commands"] == expected["commands"]
    versions: dict[Any, int] = {}
    for _, kind, stream_id, version, *_ in expected["events"]:
        versions[stream_id, kind] = version
    assert found["streams"] == sorted((*key, version) for key, version in versions.items())
    claims = workspace.claims_at[position]
    assert found["claims"] == sorted((key, stream.kind, stream.id) for key, stream in claims.items())


async def test_a_time_cuts_every_ledger(
    ledger: OpenLedger, workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    other = Claiming(ledger.appender, new_id(), seed=2)
    before = max(workspace.claims_at)
    await other.act(5)
    moment = (await ledger.reader.read(other.workspace_id, after=0))[-1].recorded_at
    await workspace.act(5)
    await other.act(5)
    backed_up(database, place)
    done = {one.workspace_id: one.position for one in restored(place, target, moment.isoformat())}
    assert done[workspace.workspace_id] == before
    assert_is_as_of(before, workspace, database=database, target=target)
    assert_is_as_of(done[other.workspace_id], other, database=database, target=target)


async def test_a_time_before_everything_leaves_nothing(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    backed_up(database, place)
    restored(place, target, datetime(2020, 1, 1).astimezone().isoformat())
    assert is_empty(target)


async def test_what_was_recorded_together_is_restored_together(
    ledger: OpenLedger, database: Database, target: Database, place: Path
) -> None:
    workspace = new_id()
    await ledger.appender.append(unit(workspace, a_pipeline("a"), a_pipeline("b"), a_pipeline("c")))
    await ledger.appender.append(unit(workspace, a_pipeline("d")))
    backed_up(database, place)
    for position in (1, 2):
        with pytest.raises(PositionInsideBatch):
            restored(place, target, f"{workspace}={position}")
    assert is_empty(target)
    [done] = restored(place, target, f"{workspace}=3")
    assert done.position == 3


@pytest.mark.parametrize(
    ("point", "refusal"),
    [
        ("{workspace}=100000", PositionBeyondBackup),
        ("{workspace}=-1", InvalidPoint),
        ("{workspace}=some", InvalidPoint),
        ("nobody=3", UnknownWorkspace),
        ("yesterday", InvalidPoint),
    ],
)
async def test_points_that_make_no_sense_are_refused(
    workspace: Claiming, database: Database, target: Database, place: Path, *, point: str, refusal: type[Exception]
) -> None:
    backed_up(database, place)
    with pytest.raises(refusal):
        restored(place, target, point.format(workspace=workspace.workspace_id))
    assert is_empty(target)


async def test_only_an_empty_deployment_takes_a_backup(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    backed_up(database, place)
    async with open_ledger(target.app_dsn) as occupied:
        await occupied.appender.append(unit(new_id(), a_pipeline()))
    with pytest.raises(NotEmpty):
        restored(place, target)
    assert contents(target, workspace.workspace_id)["events"] == []


def damage(place: Path, kind: str) -> Path:
    """The largest object of a kind."""
    return max(place.glob(f"segments/*/*.{kind}*"), key=lambda file: file.stat().st_size)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 3] ^= 0x10
    file.write_bytes(content)


@pytest.mark.parametrize("kind", ["events", "commands"])
@pytest.mark.parametrize(
    ("harm", "refusal"), [(cut, BackupDamaged), (flip, BackupDamaged), (Path.unlink, BackupIncomplete)]
)
async def test_a_damaged_object_is_refused_by_name(
    workspace: Claiming,
    database: Database,
    target: Database,
    place: Path,
    *,
    kind: str,
    harm: Callable[[Path], None],
    refusal: type[BackupError],
) -> None:
    backed_up(database, place)
    file = damage(place, kind)
    harm(file)
    with pytest.raises(refusal, match=file.name) as caught:
        restored(place, target)
    if kind == "events" and isinstance(caught.value, BackupDamaged):
        assert caught.value.position is not None
        assert 1 < caught.value.position <= max(workspace.claims_at)
    assert is_empty(target)


def manifest_file(place: Path) -> Path:
    return max(place.glob("backups/*.json"))


def rewritten(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The manifest, changed by somebody who makes its hash fit."""
    sealed = json.loads(manifest_file(place).read_text())
    change(sealed["manifest"])
    body = json.dumps(sealed["manifest"], separators=(",", ":"))
    digest = sha256(body.encode()).hexdigest()
    manifest_file(place).write_text(f'{{"format":{sealed["format"]},"sha256":"{digest}","manifest":{body}}}')


async def test_a_manifest_that_is_not_what_was_written_is_refused(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    backed_up(database, place)
    whole = manifest_file(place).read_bytes()
    for damaged in (b"", whole[:-9], whole.replace(b'"position":', b'"position":1', 1), b"[]", b"\xff" * 9):
        manifest_file(place).write_bytes(damaged)
        with pytest.raises(BackupDamaged):
            restored(place, target)
    assert is_empty(target)


async def test_a_backup_of_a_newer_version_is_refused(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    backed_up(database, place)
    rewritten(place, lambda manifest: manifest.update(schema=9999))
    with pytest.raises(BackupNewer, match="schema 9999"):
        restored(place, target)
    newer = manifest_file(place).read_text().replace('"format":1', '"format":2')
    manifest_file(place).write_text(newer)
    with pytest.raises(BackupNewer, match="format 2"):
        restored(place, target)
    assert is_empty(target)


def test_a_place_without_backups_is_refused(target: Database, place: Path) -> None:
    with pytest.raises(NoBackup):
        restored(place, target)


async def test_claims_that_do_not_follow_from_the_events_are_refused(
    workspace: Claiming, database: Database, target: Database, place: Path
) -> None:
    with administrator(database) as connection:
        connection.execute("DELETE FROM ledger.claims WHERE key = (SELECT max(key) FROM ledger.claims)")
    backed_up(database, place)
    with pytest.raises(ClaimsDiffer):
        restored(place, target)
    assert is_empty(target)
    restored(place, target, derived_claims=True)
    claims = workspace.claims_at[max(workspace.claims_at)]
    found = contents(target, workspace.workspace_id)["claims"]
    assert found == sorted((key, stream.kind, stream.id) for key, stream in claims.items())


@pytest.fixture
async def sealed(database: Database, tmp_path: Path) -> AsyncIterator[SealedLedger]:
    async with open_sealed(database, tmp_path) as opened:
        yield opened


async def test_a_restored_deployment_is_another_one_that_witnessed_the_first(
    sealed: SealedLedger, database: Database, target: Database, place: Path, tmp_path: Path
) -> None:
    workspace = new_id()
    for number in range(12):
        await sealed.ledger.appender.append(unit(workspace, a_pipeline(f"pipeline-{number}")))
        if number + 1 in {3, 8, 12}:
            await sealed.sealer.seal()
    backed_up(database, place)
    own = sealed.deployment
    [done] = restored(place, target, f"{workspace}=10", trusted=own.key(own.id))
    assert (done.position, done.signed) == (10, 8)
    async with open_sealed(target, tmp_path) as successor:
        await successor.sealer.seal()
        assert await successor.refusals() == {}
        assert successor.deployment.origin(workspace) != own.origin(workspace)
        leaves = [event.leaf_hash for event in await successor.ledger.reader.read(workspace, after=0)]
        with psycopg.connect(target.owner_dsn) as connection:
            witnessed = connection.execute(
                "SELECT size, note FROM ledger.witnessed_checkpoints WHERE origin = %s ORDER BY size",
                (own.origin(workspace),),
            ).fetchall()
        assert [size for size, _ in witnessed] == [3, 8]
        for size, note in witnessed:
            kept = checkpoint.parse(note)
            kept.verify(own.key(workspace))
            assert kept.checkpoint.root == merkle.root_of(leaves[:size]), "the new log extends what was signed"
        record: Any = (await successor.ledger.reader.read(workspace, after=10))[0].event
        assert record.origin == own.origin(workspace)
        assert (checkpoint.parse(record.checkpoint).checkpoint.size, record.position) == (8, 10)
        assert checkpoint.parse(record.abandoned).checkpoint.size == 12


async def test_a_backup_signed_by_another_key_is_refused(
    sealed: SealedLedger, database: Database, target: Database, place: Path
) -> None:
    await sealed.workspace(3)
    backed_up(database, place)
    own = sealed.deployment.key(sealed.deployment.id)
    for trusted in (VerifierKey(own.name, b"\x01" * 32), own.named("somebody-else")):
        with pytest.raises(KeyUntrusted):
            restored(place, target, trusted=trusted)
    assert is_empty(target)


async def test_history_that_was_exchanged_under_a_signed_checkpoint_is_refused(
    sealed: SealedLedger, database: Database, target: Database, place: Path
) -> None:
    """Somebody rewrites a backup so that all of its hashes fit again: only the signature cannot follow."""
    workspace = await sealed.workspace(6)
    backed_up(database, place)
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM ledger.events ORDER BY position".encode()).fetchall()
    entries = [canonical(envelope(row)) for row in rows]
    entries[3] = entries[3].replace(b'"actor":"user:ada"', b'"actor":"user:eve"')
    exchange(place, entries)
    with pytest.raises(CheckpointContradicted) as caught:
        restored(place, target)
    assert (caught.value.position, caught.value.workspace_id) == (6, workspace)
    assert is_empty(target)


def exchange(place: Path, entries: list[bytes]) -> None:
    """Other events in the place of the first workspace's, with every hash made to fit."""
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        merkle.grow(frontier, size, leaf)
    compressor = Compressor()
    compressor.add(lines(zip(leaves, entries, strict=True)))
    content = compressor.finish()

    def change(manifest: dict[str, Any]) -> None:
        [workspace] = manifest["workspaces"]
        [segment] = workspace["segments"]
        (place / segment["entries"]["name"]).write_bytes(content)
        segment["entries"]["sha256"] = sha256(content).hexdigest()
        segment["leaf"] = leaves[-1].hex()
        workspace["frontier"] = segment["frontier"] = merkle.pack(frontier).hex()

    rewritten(place, change)
    catalog.load(Place(str(place)))


async def test_a_workspace_is_named_as_people_know_it(database: Database, target: Database, place: Path) -> None:
    from commands.workspace import CreateWorkspace
    from ledger.values import CONTROL_WORKSPACE

    async with open_handling(database.app_dsn, CONTROL_WORKSPACE) as control:
        made = await control.accept(CreateWorkspace(name="vision"))
        vision = Handling(control.ledger, made.id)
        first = await vision.accept(CreateTag(name="a"))
        await vision.accept(CreateTag(name="b"))
        backed_up(database, place)
    done = {one.workspace_id: one.position for one in restored(place, target, f"vision={first.last_position}")}
    assert done == {CONTROL_WORKSPACE: 1, made.id: first.last_position}
    assert manifests.FORMAT == 1
