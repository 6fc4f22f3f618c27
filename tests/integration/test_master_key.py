"""The master key's file: made once, private, and checked against what the database holds before anything starts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from commands.person import RegisterPerson
from ledger.erasure import MASTER_KEY_FILE, MasterKey
from ledger.errors import MasterKeyDamaged, MasterKeyMissing, MasterKeyWrong
from ledger.values import CONTROL_WORKSPACE
from runners.master_key import ensure_master_key
from tests.support.handling import Handling
from tests.support.ledgers import open_ledger
from tests.support.servers import Database


def test_the_first_start_makes_it_for_its_owner_only(tmp_path: Path, database: Database) -> None:
    keys = tmp_path / "keys"
    ensure_master_key(keys, database.owner_dsn)
    path = keys / MASTER_KEY_FILE
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(keys.stat().st_mode)) == (0o600, 0o700)
    before = path.read_bytes()
    ensure_master_key(keys, database.owner_dsn)
    assert path.read_bytes() == before


async def test_it_is_never_made_anew_over_what_another_one_sealed(tmp_path: Path, database: Database) -> None:
    ensure_master_key(tmp_path, database.owner_dsn)
    async with open_ledger(database.app_dsn, master_key=MasterKey.read(tmp_path)) as ledger:
        await Handling(ledger, CONTROL_WORKSPACE).accept(RegisterPerson(handle="ada", name="Ada"))
    path = tmp_path / MASTER_KEY_FILE
    right = path.read_text()
    path.unlink()
    with pytest.raises(MasterKeyMissing):
        ensure_master_key(tmp_path, database.owner_dsn)
    assert not path.exists()
    path.write_text(MasterKey.generate().text())
    with pytest.raises(MasterKeyWrong):
        ensure_master_key(tmp_path, database.owner_dsn)
    path.write_text(right[:50])
    with pytest.raises(MasterKeyDamaged):
        ensure_master_key(tmp_path, database.owner_dsn)
    path.write_text(right)
    ensure_master_key(tmp_path, database.owner_dsn)
