"""Where a restore goes: a database by its DSN, or a new data directory, whose PostgreSQL runs meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from ledger.checkpoint import VerifierKey
from ledger.erasure import MASTER_KEY_FILE, MasterKey
from ledger.postgres.copy_in import analyze, open_empty, refuse_past
from ledger.postgres.migrate import migrate
from ledger.signing import KeyFile
from runners.backup import catalog, key_files
from runners.backup.checkpoints import deployment_of, refuse_untrusted
from runners.backup.points import parse
from runners.backup.restoring import Restored, Restoring, Terms
from runners.backup.wal_archive import WalArchive
from runners.backup.wal_restore import restore_wal
from runners.data_directory import DataDirectory
from runners.embedded import EmbeddedPostgres
from runners.errors import DirectoryInUse, PostgresExists
from runners.files import write_json
from runners.processes import launch, stop, wait_until_ready

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.backup.manifest import Manifest
    from ledger.values import Position
    from runners.backup.place import Place
    from runners.progress import Progress


class Wish(NamedTuple):
    """What is to be restored: which backup, up to where, and why. `keys` is the directory of the master key, which is
    needed where people are known; a data directory's own comes first."""

    to: Sequence[str]
    number: int | None
    reason: str
    trusted: VerifierKey | None
    derived_claims: bool
    keys: Path | None = None


class Done(NamedTuple):
    """A finished restore."""

    manifest: Manifest
    ledgers: list[Restored]
    keys: key_files.Stored | None


def restore_into(into: str, place: Place, wish: Wish, *, keys_place: Place | None, progress: Progress) -> Done:
    """Blocks until the ledger is whole and durable. Raises BackupError, RunnerError; then nothing was changed."""
    manifest = catalog.load(place, wish.number)
    if "dbname=" in into or into.startswith(("postgres://", "postgresql://")):
        return _restore(into, "the database", place, manifest, wish, progress)
    directory = DataDirectory(Path(into))
    with _directory_for(directory) as postgres, _running(postgres):
        brought = _bring_keys(keys_place, directory, manifest) if keys_place else None
        wish = wish._replace(keys=directory.keys if (directory.keys / MASTER_KEY_FILE).exists() else wish.keys)
        done = _restore(postgres.owner_dsn(), str(directory.root), place, manifest, wish, progress)
        return done._replace(keys=brought)


def replay_into(into: str, where: str, *, keys_place: Place | None) -> dict[UUID, Position]:
    """Replays an archived log; blocks until PostgreSQL stands where the log ends. Raises ArchiveIncomplete."""
    directory = DataDirectory(Path(into))
    with _directory_for(directory) as postgres:
        if postgres.data.exists():
            raise PostgresExists(postgres.data)
        if keys_place is not None:
            key_files.bring_back(keys_place, directory.root)
        return restore_wal(WalArchive(Path(where), postgres), postgres)


def _restore(owner_dsn: str, where: str, place: Place, manifest: Manifest, wish: Wish, progress: Progress) -> Done:
    points = parse(place, manifest, wish.to)
    master_key = MasterKey.read(wish.keys) if wish.keys else None
    terms = Terms(points, wish.reason, wish.trusted, wish.derived_claims, master_key)
    _refuse_past(owner_dsn, where)
    migrate(owner_dsn)
    with open_empty(owner_dsn, where=where) as target:
        ledgers = Restoring(place, manifest, target, terms=terms, progress=progress).run()
    analyze(owner_dsn)
    return Done(manifest, ledgers, None)


def _bring_keys(place: Place, directory: DataDirectory, manifest: Manifest) -> key_files.Stored:
    """Raises KeyUntrusted when they are the keys of another deployment."""
    brought = key_files.bring_back(place, directory.root)
    deployment = deployment_of(manifest)
    if deployment is not None and directory.signing_key.exists():
        public_key = KeyFile(directory.signing_key).public_key
        refuse_untrusted(deployment, VerifierKey(deployment.name, public_key))
    return brought


def _refuse_past(owner_dsn: str, where: str) -> None:
    """Before anything is touched, migrations included."""
    with psycopg.connect(owner_dsn) as connection:
        found = connection.execute("SELECT to_regclass('ledger.heads') IS NOT NULL").fetchone()
        if found and found[0]:
            refuse_past(connection, where=where)


@contextmanager
def _directory_for(directory: DataDirectory) -> Iterator[EmbeddedPostgres]:
    """The directory's own PostgreSQL, which does not run.

    A directory whose PostgreSQL is made for this restore bears a mark until it is whole: nothing starts in it. When
    the restore is refused it is removed again; when it is killed, another restore begins anew.
    """
    existed = directory.root.exists()
    directory.prepare(to_restore=True)
    if not directory.lock():
        raise DirectoryInUse(directory.root)
    postgres = EmbeddedPostgres(directory.root)
    is_ours = directory.restoring.exists() or not postgres.data.exists()
    try:
        if is_ours:
            write_json(directory.restoring, {})
            _remove(postgres.data)
        yield postgres
        directory.restoring.unlink(missing_ok=True)
    except BaseException:
        if is_ours:
            _remove(postgres.data)
            directory.restoring.unlink(missing_ok=True)
            if not existed:
                _remove(directory.root)
        raise
    finally:
        directory.unlock()


@contextmanager
def _running(postgres: EmbeddedPostgres) -> Iterator[None]:
    postgres.initialise()
    program = postgres.program()
    process = launch(program)
    try:
        wait_until_ready(program, process)
        yield
    finally:
        stop(program, process)


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
