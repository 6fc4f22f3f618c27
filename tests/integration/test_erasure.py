"""An erasure on real servers: nothing readable is left at any moment, what is left still proves and replays, and
nothing but an erasure ends a key."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from nats.aio.msg import Msg

from commands.person import ErasePerson, PlaceLegalHold, RegisterPerson, ReleaseLegalHold, UpdatePerson
from commands.rejections import CommandIdReused, NameTaken, PersonIsErased, UnderLegalHold
from ledger import broker, merkle
from ledger.codec import canonical
from ledger.erasure import MasterKey
from ledger.errors import MasterKeyMissing, MasterKeyWrong, SubjectKeyLost
from ledger.events.person import PersonErased, PersonRegistered, PersonUpdated
from ledger.personal import ERASED
from ledger.subscription import Subscription
from ledger.values import CONTROL_WORKSPACE, StreamId, new_id
from projections import orders
from projections.compare import verify
from projections.errors import ProjectionBehind
from projections.moments import When
from projections.projector import Projector
from projections.query import Queries
from projections.rebuild import rebuild
from runners import relay
from runners.settings import WorkerSettings
from tests.support.backups import backed_up, restored
from tests.support.handling import Handling, open_handling
from tests.support.ledgers import MASTER_KEY, open_ledger
from tests.support.people import EMAIL, HANDLE, NAME, NEW_NAME, everything_in, register, registration, traces_in
from tests.support.servers import Database, PostgresServer
from tests.support.waiting import eventually

FOLLOW_SECONDS = 15

SAID = [PersonRegistered(HANDLE, NAME, EMAIL), PersonUpdated(name=NEW_NAME)]
ERASE = ErasePerson(person=HANDLE, reason="ticket 12")


@pytest.fixture
async def control(database: Database) -> AsyncIterator[Handling]:
    async with open_handling(database.app_dsn, CONTROL_WORKSPACE) as handling:
        yield handling


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Handling]:
    """Another process that serves the same ledger."""
    async with open_handling(database.app_dsn, CONTROL_WORKSPACE) as handling:
        yield handling


@pytest.fixture
async def projector(control: Handling) -> Projector:
    made = Projector(control.ledger.pool, control.ledger.reader)
    await made.start()
    return made


async def test_the_ledger_holds_ciphertext_and_keyed_hashes_only(control: Handling, database: Database) -> None:
    await register(control)
    assert traces_in(everything_in(database.owner_dsn)) == {}


async def test_every_reader_opens_what_was_sealed(control: Handling, other: Handling) -> None:
    person = await register(control)
    for reader in (control.ledger.reader, other.ledger.reader):
        events = await reader.read(CONTROL_WORKSPACE, after=0)
        assert [event.event for event in events] == [
            PersonRegistered(HANDLE, NAME, EMAIL),
            PersonUpdated(name=NEW_NAME),
        ]
        assert await reader.read_stream(CONTROL_WORKSPACE, events[0].stream) == events
        assert await reader.read_at(CONTROL_WORKSPACE, [1, 2]) == events
    assert (await other.accept(UpdatePerson(person=EMAIL, email=""))).id == events[0].stream.id
    assert str(events[0].stream.id) == person


async def test_after_an_erasure_every_past_moment_reads_as_erased(
    control: Handling, projector: Projector, database: Database
) -> None:
    person = await register(control)
    await projector.catch_up(CONTROL_WORKSPACE)
    queries = Queries(control.ledger.pool, control.ledger.reader)
    assert (await queries.get(CONTROL_WORKSPACE, "persons", EMAIL))["name"] == NEW_NAME
    assert set(traces_in(everything_in(database.owner_dsn))) <= _projected()

    await control.accept(ERASE)
    await projector.catch_up(CONTROL_WORKSPACE)

    assert traces_in(everything_in(database.owner_dsn)) == {}
    for moment in ("1", "2", "3"):
        row = await queries.get(CONTROL_WORKSPACE, "persons", person, when=When(moment))
        assert [row[name] for name in ("handle", "name", "email")] == [ERASED] * 3
    listed = await queries.list(CONTROL_WORKSPACE, "persons", when=When("2"))
    assert [row["name"] for row in listed["items"]] == [ERASED]
    events = await queries.events(CONTROL_WORKSPACE, kind="person")
    assert events["items"][-1]["data"] == PersonRegistered(ERASED, ERASED, ERASED)
    assert (await queries.event(CONTROL_WORKSPACE, 3))["data"] == PersonErased(reason="ticket 12")
    history = await queries.history(CONTROL_WORKSPACE, "persons", person)
    assert [change["types"] for change in history["items"]] == [
        ["person.erased"],
        ["person.updated"],
        ["person.registered"],
    ]


async def test_live_tables_equal_a_replay_before_and_after(control: Handling, projector: Projector) -> None:
    await register(control)
    await control.accept(PlaceLegalHold(person=HANDLE, matter="case 7", reason="of Ada"))
    await control.accept(RegisterPerson(handle="bob", name="Bob"))
    await projector.catch_up(CONTROL_WORKSPACE)
    pool, reader = control.ledger.pool, control.ledger.reader
    assert (await verify(pool, reader, CONTROL_WORKSPACE)).equal
    await control.accept(ErasePerson(person="bob", reason="ticket 13"))
    with pytest.raises(ProjectionBehind):
        await verify(pool, reader, CONTROL_WORKSPACE)
    await projector.catch_up(CONTROL_WORKSPACE)
    for until in (5, 4, 3, 2, 1):
        compared = await verify(pool, reader, CONTROL_WORKSPACE, until=until)
        assert compared.equal, compared.first_difference


async def test_a_rebuild_that_began_before_the_erasure_ends_without_the_person(
    control: Handling, projector: Projector, database: Database
) -> None:
    """The rebuild reads the person while the key is there, and the erasure with its last events."""
    await register(control)
    await projector.catch_up(CONTROL_WORKSPACE)
    await orders.order_rebuild(control.ledger.pool, CONTROL_WORKSPACE, projection=None, ordered_by="test")
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        async with control.ledger.pool.connection() as blocking, blocking.transaction():
            await blocking.execute("SELECT FROM projections.checkpoints FOR UPDATE")
            rebuilding = asyncio.create_task(rebuild(control.ledger.pool, control.ledger.reader, CONTROL_WORKSPACE))
            waits = b"SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            await asyncio.to_thread(eventually, lambda: owner.execute(waits).fetchone() is not None)
            await control.accept(ERASE)
        await rebuilding
    await projector.catch_up(CONTROL_WORKSPACE)
    assert traces_in(everything_in(database.owner_dsn)) == {}
    assert (await verify(control.ledger.pool, control.ledger.reader, CONTROL_WORKSPACE)).equal


async def test_the_proof_does_not_notice_an_erasure(control: Handling) -> None:
    await register(control)
    before = await control.ledger.reader.head(CONTROL_WORKSPACE)
    await control.accept(ERASE)
    published = await control.ledger.reader.read_published(CONTROL_WORKSPACE, after=0, until=3, limit=10)
    frontier: list[bytes] = []
    for size, (envelope, leaf) in enumerate(published):
        assert merkle.leaf_hash(canonical(envelope)) == leaf
        merkle.grow(frontier, size, leaf)
        if size + 1 == before.position:
            assert merkle.pack(frontier) == before.frontier
    assert merkle.pack(frontier) == (await control.ledger.reader.head(CONTROL_WORKSPACE)).frontier


async def test_an_update_that_races_the_erasure_never_outlives_it(control: Handling, other: Handling) -> None:
    for number in range(10):
        handle = f"racer{number}"
        await control.accept(RegisterPerson(handle=handle, name="R"))
        erased, updated = await asyncio.gather(
            control.answer(ErasePerson(person=handle, reason="ticket")),
            other.answer(UpdatePerson(person=handle, name="Runner")),
        )
        assert erased.id  # type: ignore[union-attr]
        events = await other.ledger.reader.read_stream(CONTROL_WORKSPACE, StreamId("person", erased.id))  # type: ignore[union-attr]
        assert isinstance(events[-1].event, PersonErased), updated
        assert all(getattr(event.event, "name", ERASED) == ERASED for event in events)


async def test_a_stale_process_knows_of_the_erasure_at_once(control: Handling, other: Handling) -> None:
    person = await register(control)
    await other.accept(PlaceLegalHold(person=HANDLE, matter="case 7"))
    assert isinstance(await control.answer(ERASE), UnderLegalHold)
    await other.accept(ReleaseLegalHold(person=HANDLE, matter="case 7"))
    await control.accept(ERASE)
    assert isinstance(await other.answer(UpdatePerson(person=person, name="X")), PersonIsErased)
    assert not (await other.accept(ErasePerson(person=person, reason="again"))).events
    await other.accept(registration())  # the handle and the address are free again


async def test_a_batch_may_register_and_erase_together(control: Handling) -> None:
    ada = new_id()
    register_ada = RegisterPerson(id=ada, handle="ada", name="Ada")
    answers = await control.batch(
        register_ada,
        RegisterPerson(id=new_id(), handle="bob", name="Bob"),
        ErasePerson(person=str(ada), reason="ticket"),
        UpdatePerson(person="bob", name="Robert"),
    )
    assert [answer.kind for answer in answers] == ["person"] * 4  # type: ignore[union-attr]
    names = [
        getattr(event.event, "name", None) for event in await control.ledger.reader.read(CONTROL_WORKSPACE, after=0)
    ]
    assert names == [ERASED, "Bob", None, "Robert"]


async def test_the_uniqueness_and_the_idempotency_of_people_work_on_hashes(control: Handling, other: Handling) -> None:
    command_id = new_id()
    first = await control.accept(registration(), id=command_id)
    again = await other.accept(registration(), id=command_id)
    assert (again.repeated, again.id) == (True, first.id)
    assert isinstance(await other.answer(RegisterPerson(handle="x", name="X"), id=command_id), CommandIdReused)
    taken = await other.answer(RegisterPerson(handle=HANDLE, name="X"))
    assert isinstance(taken, NameTaken)
    assert taken.key == f"person:{HANDLE}"
    recorded = await control.ledger.reader.recorded_commands(CONTROL_WORKSPACE, [command_id])
    guess = sha256(b"register-person\x00" + b'{"email":"%b"}' % EMAIL.encode()).digest()
    assert recorded[command_id].request_hash != guess
    assert await control.ledger.reader.holder(CONTROL_WORKSPACE, f"person:{HANDLE}") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.subject_keys SET wrapped_key = NULL, erased_position = 1",
        "DELETE FROM ledger.subject_keys",
        "TRUNCATE ledger.subject_keys",
        "SELECT ledger.destroy_key(workspace_id, subject_id, 1) FROM ledger.subject_keys",
        "INSERT INTO ledger.subject_keys VALUES (gen_random_uuid(), gen_random_uuid(), NULL, 1)",
        "SELECT ledger.destroy_key(workspace_id, subject_id, NULL) FROM ledger.subject_keys",
    ],
)
async def test_only_an_erasure_ends_a_key(control: Handling, database: Database, statement: str) -> None:
    await register(control)
    with psycopg.connect(database.app_dsn) as connection, pytest.raises(psycopg.Error):
        connection.execute(statement.encode())
    if statement.startswith(("DELETE", "TRUNCATE")):
        with psycopg.connect(database.owner_dsn) as owner, pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            owner.execute(statement.encode())
    assert (await control.ledger.reader.read(CONTROL_WORKSPACE, after=0))[1].event == PersonUpdated(name=NEW_NAME)


async def test_a_restored_backup_knows_those_who_were_not_erased(
    control: Handling, postgres: PostgresServer, database: Database, tmp_path: Path
) -> None:
    await register(control)
    await control.accept(RegisterPerson(handle="bob", name="Bob"))
    await control.accept(ERASE)
    await asyncio.to_thread(backed_up, database, tmp_path)
    assert traces_in(everything_in(database.owner_dsn) | {"backup": _text_of(tmp_path)}) == {}
    for to in ((), ("control=2",)):
        empty = postgres.create_database()
        if not to:
            with pytest.raises(MasterKeyMissing):
                await asyncio.to_thread(restored, tmp_path, empty)
        await asyncio.to_thread(restored, tmp_path, empty, *to, master_key=MASTER_KEY)
        async with open_handling(empty.app_dsn, CONTROL_WORKSPACE) as again:
            events = await again.ledger.reader.read(CONTROL_WORKSPACE, after=0, until=3)
            names = [getattr(event.event, "name", None) for event in events]
            assert names[:2] == [ERASED, ERASED], "going back in time does not undo an erasure"
            bob = await again.answer(UpdatePerson(person="bob", name="Robert"))
            assert (getattr(bob, "code", "ok"), names[2:]) == (("ok", ["Bob"]) if not to else ("not_found", [None]))
        postgres.drop_database(empty.name)


def _text_of(directory: Path) -> str:
    """Every file of a backup; those that are packed, unpacked."""
    found = []
    for file in directory.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            found.append((gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode(errors="replace"))
    return "\n".join(found)


async def test_a_lost_key_is_no_erasure(control: Handling, database: Database) -> None:
    await register(control)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("ALTER TABLE ledger.subject_keys DISABLE TRIGGER USER")
        owner.execute("DELETE FROM ledger.subject_keys")
    with pytest.raises(SubjectKeyLost):
        await control.ledger.reader.read(CONTROL_WORKSPACE, after=0)


async def test_without_the_right_master_key_people_are_unreadable_and_erased_ones_stay_so(
    control: Handling, database: Database
) -> None:
    await register(control)
    async with open_ledger(database.app_dsn, master_key=None) as keyless:
        with pytest.raises(MasterKeyMissing):
            await keyless.reader.read(CONTROL_WORKSPACE, after=0)
    async with open_ledger(database.app_dsn, master_key=MasterKey.generate()) as foreign:
        with pytest.raises(MasterKeyWrong):
            await foreign.reader.read(CONTROL_WORKSPACE, after=0)
    await control.accept(ERASE)
    async with open_ledger(database.app_dsn, master_key=None) as keyless:
        events = await keyless.reader.read(CONTROL_WORKSPACE, after=0)
        assert events[0].event == PersonRegistered(ERASED, ERASED, ERASED)


async def test_what_nats_carries_is_sealed_and_followers_open_it(
    control: Handling, database: Database, nats_url: str
) -> None:
    client = await broker.connect(nats_url, name="test")
    carried: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: Msg) -> None:
        await carried.put(message.data)

    await client.subscribe(f"everline.main.{CONTROL_WORKSPACE.hex}.>", cb=take)
    relaying = asyncio.create_task(relay.run(WorkerSettings(dsn=database.app_dsn, nats_url=nats_url)))
    subscription = Subscription(control.ledger.reader, dsn=database.app_dsn, nats_url=nats_url)
    batches = subscription.batches({})
    following = asyncio.ensure_future(anext(batches))
    async with asyncio.timeout(FOLLOW_SECONDS):
        await register(control)
        seen = await following
        while len(seen) < 2:
            seen += await anext(batches)
        messages = [await carried.get(), await carried.get()]
    await batches.aclose()  # type: ignore[attr-defined]
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    await broker.close(client)
    assert [event.event for event in seen] == SAID
    assert traces_in({"nats": b"".join(messages).decode()}) == {}


def _projected() -> set[str]:
    schema = f"ws_{CONTROL_WORKSPACE.hex}"
    return {f"{schema}.persons", f"{schema}.persons_history"}
