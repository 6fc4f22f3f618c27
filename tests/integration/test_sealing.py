"""The sealer on real PostgreSQL: what it signs, what it refuses to sign, and that several never contradict."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ledger import checkpoint, merkle, sealing
from ledger.proof_errors import SigningKeyChanged
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from ledger.values import new_id
from tests.support.sealing import SealedLedger, administrator, open_sealed
from tests.support.servers import Database


def notes(database: Database, log_id: UUID) -> list[checkpoint.SignedCheckpoint]:
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute(
            "SELECT note FROM ledger.signed_checkpoints WHERE log_id = %s ORDER BY size", (log_id,)
        ).fetchall()
    return [checkpoint.parse(row[0]) for row in rows]


async def test_checkpoints_sign_the_frontier_of_the_appends(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        workspace = await sealed.workspace(3, 300, 1)
        head = await sealed.ledger.reader.head(workspace)
        found = notes(database, workspace)
        assert [note.checkpoint.size for note in found] == [3, 303, 304]
        assert found[-1].checkpoint.root == merkle.root(merkle.unpack(head.frontier))
        for note in found:
            note.verify(sealed.deployment.key(workspace))
        assert await sealed.sealer.seal() == 0
        assert await sealed.refusals() == {}


async def test_a_backlog_is_sealed_in_bounded_steps(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "LEAVES_PER_READ", 70)
    async with open_sealed(database, tmp_path) as sealed:
        workspace = await sealed.workspace(400)
        assert [note.checkpoint.size for note in notes(database, workspace)] == [400]
        with psycopg.connect(database.owner_dsn) as connection:
            widths = connection.execute(
                "SELECT level, number, length(hashes) / 32 FROM ledger.tiles WHERE log_id = %s ORDER BY 1, 2",
                (workspace,),
            ).fetchall()
        assert widths == [(0, 0, 256), (0, 1, 144), (1, 0, 1)]


async def test_the_deployment_log_names_every_workspaces_checkpoint(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        first, second = new_id(), new_id()
        await sealed.append(first, 2)
        await sealed.append(second, 3)
        await sealed.sealer.seal()
        await sealed.append(second)
        await sealed.sealer.seal()
        with psycopg.connect(database.owner_dsn) as connection:
            entries = connection.execute(
                "SELECT workspace_id, size, entry FROM ledger.deployment_entries ORDER BY number"
            ).fetchall()
        assert [row[:2] for row in entries] == [(*pair,) for pair in (*sorted([(first, 2), (second, 3)]), (second, 4))]
        texts = [note.checkpoint.text for log in (first, second) for note in notes(database, log)]
        assert sorted(row[2] for row in entries) == sorted(texts)
        own = notes(database, sealed.deployment.id)[-1]
        own.verify(sealed.deployment.key(sealed.deployment.id))
        assert own.checkpoint.root == merkle.root_of(merkle.leaf_hash(row[2].encode()) for row in entries)


async def test_several_sealers_and_writers_at_once(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        workspaces = [new_id() for _ in range(3)]
        sealers = [sealed.sealer, await sealed.another(), await sealed.another()]
        writing = asyncio.gather(*(sealed.append(workspace, 60) for workspace in workspaces))

        async def keep_sealing(sealer: Sealer) -> None:
            while not writing.done():
                await sealer.seal()
                await asyncio.sleep(0)

        await asyncio.gather(writing, *(keep_sealing(sealer) for sealer in sealers))
        for sealer in sealers:
            await sealer.seal()
        assert await sealed.refusals() == {}
        for workspace in workspaces:
            found = notes(database, workspace)
            assert found[-1].checkpoint.size == 60
            leaves = [bytes(row[15]) for row in await rows(sealed, workspace)]
            for note in found:
                assert note.checkpoint.root == merkle.root_of(leaves[: note.checkpoint.size])


async def rows(sealed: SealedLedger, workspace: UUID) -> list[tuple[object, ...]]:
    async with sealed.ledger.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM ledger.events WHERE workspace_id = %s ORDER BY position", (workspace,)
        )
        return await cursor.fetchall()


TAMPERINGS = {
    "head_diverged": "UPDATE ledger.events SET leaf_hash = sha256('x') WHERE workspace_id = %s AND position = 6",
    "event_missing": "DELETE FROM ledger.events WHERE workspace_id = %s AND position = 6",
    "head_behind_checkpoint": "UPDATE ledger.heads SET position = 4 WHERE workspace_id = %s",
    "tiles_diverged": "UPDATE ledger.tiles SET hashes = sha256('x') || substr(hashes, 33) WHERE log_id = %s",
    "tile_truncated": "UPDATE ledger.tiles SET hashes = substr(hashes, 1, 96) WHERE log_id = %s",
    "checkpoint_rewritten": "DELETE FROM ledger.signed_checkpoints WHERE log_id = %s",
    "checkpoint_not_signed": "UPDATE ledger.signed_checkpoints SET note = replace(note, E'\\n5\\n', E'\\n4\\n')"
    " WHERE log_id = %s",
}


@pytest.mark.parametrize("code", TAMPERINGS)
async def test_a_log_that_contradicts_itself_is_not_signed_and_the_others_are(
    database: Database, tmp_path: Path, code: str
) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        workspace, other = await sealed.workspace(5), await sealed.workspace(2)
        await sealed.append(workspace, 2)
        await sealed.append(other, 2)
        with administrator(database) as connection:
            connection.execute(TAMPERINGS[code], (workspace,))
        await sealed.sealer.seal()
        assert await sealed.refusals() == {workspace: code}
        assert [note.checkpoint.size for note in notes(database, other)] == [2, 4]
        assert len(notes(database, workspace)) <= 1


async def test_a_workspace_that_is_dropped_whole_is_noticed(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        workspace = await sealed.workspace(5)
        with administrator(database) as connection:
            for table in ("events", "heads"):
                connection.execute(f"DELETE FROM ledger.{table} WHERE workspace_id = %s", (workspace,))
        await (await sealed.another()).seal()
        assert await sealed.refusals() == {workspace: "head_behind_checkpoint"}


async def test_a_refused_log_is_sealed_again_once_it_is_repaired(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "REFUSED_RETRY_SECONDS", 0.0)
    async with open_sealed(database, tmp_path) as sealed:
        workspace = await sealed.workspace(5)
        await sealed.append(workspace, 300)
        with administrator(database) as connection:
            [kept] = connection.execute(
                "SELECT leaf_hash FROM ledger.events WHERE workspace_id = %s AND position = 7", (workspace,)
            ).fetchall()
            change = "UPDATE ledger.events SET leaf_hash = %s WHERE workspace_id = %s AND position = 7"
            connection.execute(change, (b"x" * 32, workspace))
            await sealed.sealer.seal()
            assert await sealed.refusals() == {workspace: "head_diverged"}
            connection.execute(change, (kept[0], workspace))
        await sealed.sealer.seal()
        assert await sealed.refusals() == {}
        assert [note.checkpoint.size for note in notes(database, workspace)] == [5, 305]


async def test_another_key_is_refused_by_name(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        make_key_file(tmp_path / "other.pem")
        with pytest.raises(SigningKeyChanged, match="signs with another key"):
            await Sealer(sealed.ledger.pool, KeyFile(tmp_path / "other.pem")).start()


STATEMENTS = [
    "UPDATE ledger.signed_checkpoints SET note = ''",
    "DELETE FROM ledger.signed_checkpoints",
    "TRUNCATE ledger.signed_checkpoints",
    "DELETE FROM ledger.tiles",
    "UPDATE ledger.tiles SET hashes = substr(hashes, 33)",
    "UPDATE ledger.tiles SET number = number + 1",
    "TRUNCATE ledger.tiles",
    "DELETE FROM ledger.deployment_entries",
    "UPDATE ledger.deployment SET name = 'other'",
]


async def test_what_was_sealed_cannot_be_changed(database: Database, tmp_path: Path) -> None:
    async with open_sealed(database, tmp_path) as sealed:
        await sealed.workspace(3)
        refusals = (psycopg.errors.IntegrityConstraintViolation, psycopg.errors.InsufficientPrivilege)
        for dsn in (database.app_dsn, database.owner_dsn):
            for statement in STATEMENTS:
                with psycopg.connect(dsn) as connection, pytest.raises(refusals):
                    connection.execute(statement.encode())
