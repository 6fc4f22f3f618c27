"""The deployment's master key: made once, and never a second time over data that the first one sealed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg

from ledger.erasure import KEY_ID_BYTES, MASTER_KEY_FILE, MasterKey
from ledger.errors import MasterKeyMissing, MasterKeyWrong
from runners.files import write_private

if TYPE_CHECKING:
    from pathlib import Path


def ensure_master_key(directory: Path, owner_dsn: str) -> None:
    """Makes the key file, or checks that the one there fits. One program at a time: the migration.

    Raises MasterKeyMissing when data was sealed before and the file is gone, MasterKeyWrong when it is another
    deployment's, MasterKeyDamaged when it cannot be read.
    """
    sealed_under = _key_ids(owner_dsn)
    try:
        found = MasterKey.read(directory)
    except MasterKeyMissing:
        if sealed_under:
            raise
        _write(directory, MasterKey.generate())
        return
    for key_id in sealed_under:
        if key_id != found.id:
            raise MasterKeyWrong(wanted=key_id.hex(), found=found.id.hex())


def _key_ids(owner_dsn: str) -> list[bytes]:
    """Which wrapping keys the stored data keys need."""
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        cursor = connection.execute(
            "SELECT DISTINCT substring(wrapped_key FOR %s) FROM ledger.subject_keys WHERE wrapped_key IS NOT NULL",
            (KEY_ID_BYTES,),
        )
        return [bytes(row[0]) for row in cursor]


def _write(directory: Path, key: MasterKey) -> None:
    """Durable before anything is sealed with it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / MASTER_KEY_FILE, key.text())
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
