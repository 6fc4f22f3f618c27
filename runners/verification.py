"""`verify` of a data directory: every event of its PostgreSQL against everything that was sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from ledger.archive.errors import ArchiveError
from ledger.checkpoint import parse_key
from ledger.postgres.scan import open_scan
from ledger.proof_errors import ProofError
from ledger.signing import KeyFile
from ledger.verification import LogReport, verify_database
from runners.data_directory import DataDirectory
from runners.embedded import APP, DATABASE, EmbeddedPostgres
from runners.errors import CannotVerify

if TYPE_CHECKING:
    from pathlib import Path


def verify_data_directory(data_dir: Path, *, dsn: str | None, key: str | None) -> list[LogReport]:
    """Scans the database at `dsn`, or the one that runs in the directory. The key is the one given, else the key file's
    own, else what the database says of itself. Raises CannotVerify."""
    directory = DataDirectory(data_dir)
    if dsn is None:
        directory.check()
        dsn = EmbeddedPostgres(directory.root).dsn(APP, DATABASE)
    try:
        public_key = _public_key(directory, key)
        with open_scan(dsn) as scan:
            return list(verify_database(scan, public_key=public_key))
    except psycopg.OperationalError as error:
        raise CannotVerify(f"PostgreSQL does not answer: {error}") from error
    except (ProofError, ArchiveError) as error:
        raise CannotVerify(str(error)) from error


def _public_key(directory: DataDirectory, key: str | None) -> bytes | None:
    if key is not None:
        return parse_key(key).public_key
    return KeyFile(directory.signing_key).public_key if directory.signing_key.exists() else None


def as_row(report: LogReport) -> dict[str, object]:
    """A report as `-o json` and the table show it."""
    finding = report.finding
    return {
        "log": report.origin,
        "is_here": report.is_here,
        "events": report.events,
        "sealed": report.sealed,
        "code": finding.code if finding else None,
        "position": finding.position if finding else None,
        "last_position": finding.last if finding else None,
        "detail": finding.detail if finding else None,
    }
