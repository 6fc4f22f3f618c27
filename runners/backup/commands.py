"""The operator's commands for backups: `backup create | list | verify` and `restore`. Each imports what it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runners.errors import LedgerAway, Refused
from runners.settings import default_data_dir

if TYPE_CHECKING:
    from ledger.checkpoint import VerifierKey

EXIT_DAMAGED = 3

app = typer.Typer(no_args_is_help=True, help="Copies of the ledger, made while everything runs.")

Where = Annotated[str, typer.Argument(help="A directory, or a bucket such as s3://name/prefix.")]
DataDir = Annotated[
    Path,
    typer.Option(
        help="The system to back up.",
        readable=False,
        envvar="EVERLINE_DATA_DIR",
        default_factory=default_data_dir,
        show_default="the user's data directory",
    ),
]
Dsn = Annotated[
    str | None, typer.Option(help="Its PostgreSQL, when it is not in a data directory.", envvar="EVERLINE_DSN")
]
Number = Annotated[int | None, typer.Option("--backup", min=1, help="Which backup; the last one unless told.")]
Trust = Annotated[str | None, typer.Option(help="The deployment's verifier key: only what it signed is accepted.")]
Json = Annotated[bool, typer.Option("--json", help="The answer for programs.")]


@app.command()
def create(
    place: Where,
    data_dir: DataDir,
    dsn: Dsn = None,
    keys_to: Annotated[
        str | None, typer.Option(help="Another place, for the key files; else they are left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Back up the ledger: what the place does not have yet."""
    from ledger.postgres.copy_out import Source
    from runners.backup import key_files, report
    from runners.backup.making import back_up
    from runners.backup.place import Place
    from runners.progress import Progress

    with _named_errors(dsn or data_dir):
        stored = key_files.store(data_dir, Place(keys_to)) if keys_to else key_files.left_out(data_dir)
        with Source(_dsn(data_dir, dsn)) as source:
            made = back_up(source, Place(place), keys=stored.where, progress=Progress("backup"))
    report.made(made, stored, place, as_json=as_json)


@app.command("list")
def list_backups(place: Where, data_dir: DataDir, dsn: Dsn = None, as_json: Json = False) -> None:
    """The backups of a place; and, while the system runs, what a crash now would lose."""
    from runners.backup import catalog, report
    from runners.backup.place import Place

    with _named_errors(place):
        found = Place(place, must_exist=True)
        manifests = [catalog.load(found, number) for number in catalog.numbers(found)]
    report.listed(manifests, report.heads(_dsn(data_dir, dsn), manifests), as_json=as_json)


@app.command()
def verify(place: Where, number: Number = None, trust: Trust = None, as_json: Json = False) -> None:
    """Read a backup whole and check every byte, without restoring; exit code 3 when something is wrong."""
    from ledger.backup.errors import BackupDamaged, BackupIncomplete, CheckpointContradicted, KeyUntrusted
    from runners.backup import catalog, reading, report
    from runners.backup.place import Place
    from runners.progress import Progress

    with _named_errors(place):
        found = Place(place, must_exist=True)
        try:
            manifest = catalog.load(found, number)
            verified = reading.verify(found, manifest, trusted=_key(trust), progress=Progress("verify"))
        except (BackupDamaged, BackupIncomplete, CheckpointContradicted, KeyUntrusted) as error:
            print(f"error: {error} [{error.code}]", file=sys.stderr)
            raise typer.Exit(EXIT_DAMAGED) from None
    report.verified(manifest, verified, as_json=as_json)


def restore(
    place: Where,
    into: Annotated[str, typer.Option(help="A new data directory, or the owner's DSN of an empty database.")],
    to: Annotated[
        list[str], typer.Option("--to", help="Up to a time; or WORKSPACE=POSITION, for each that is not to be whole.")
    ] = [],  # noqa: B006  typer copies it
    number: Number = None,
    keys_from: Annotated[str | None, typer.Option(help="Where --keys-to put the key files.")] = None,
    reason: Annotated[str, typer.Option(help="Recorded in every restored ledger.")] = "",
    trust: Trust = None,
    derived_claims: Annotated[
        bool, typer.Option("--derived-claims", help="Take the claims that follow from the events.")
    ] = False,
    master_key: Annotated[
        Path | None,
        typer.Option(envvar="EVERLINE_KEYS", help="The directory with the master key, if people are known."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty deployment, checking every event; or change nothing."""
    from runners.backup import report
    from runners.backup.into import Wish, replay_into, restore_into
    from runners.backup.place import Place
    from runners.backup.wal_archive import is_archive
    from runners.progress import Progress

    if is_archive(place):
        if to or number:
            raise typer.BadParameter("an archived log is replayed to its end", param_hint="--to, --backup")
        with _named_errors(into):
            keys = Place(keys_from, must_exist=True) if keys_from else None
            return report.replayed(replay_into(into, place, keys_place=keys), into, as_json=as_json)
    with _named_errors(into):
        wish = Wish(to, number, reason, trusted=_key(trust), derived_claims=derived_claims, keys=master_key)
        keys = Place(keys_from, must_exist=True) if keys_from else None
        done = restore_into(into, Place(place, must_exist=True), wish, keys_place=keys, progress=Progress("restore"))
    return report.restored(done, into, as_json=as_json)


def _key(written: str | None) -> VerifierKey | None:
    from ledger.checkpoint import parse_key

    return parse_key(written) if written else None


def _dsn(data_dir: Path, dsn: str | None) -> str:
    from runners.embedded import APP, DATABASE, EmbeddedPostgres

    return dsn or EmbeddedPostgres(data_dir.expanduser().absolute()).dsn(APP, DATABASE)


@contextmanager
def _named_errors(where: object) -> Iterator[None]:
    """What other rooms raise on purpose ends a command as our own errors do."""
    import psycopg

    from commands.changes import BrokenHistory
    from ledger.backup.errors import BackupError
    from ledger.errors import SchemaNewer, UnknownEventType
    from ledger.proof_errors import ProofError

    try:
        yield
    except (BackupError, ProofError) as error:
        raise Refused(error.code, str(error)) from error
    except (UnknownEventType, SchemaNewer) as error:
        raise Refused("backup_newer", str(error)) from error
    except BrokenHistory as error:
        raise Refused("broken_history", str(error)) from error
    except psycopg.OperationalError as error:
        raise LedgerAway(str(where), str(error).strip().partition("\n")[0]) from error
