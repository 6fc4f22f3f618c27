"""Seals and keys: what was altered, moved or sealed for somebody else does not open, and a key file says what it is."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.codec import decode_data, encode_data
from ledger.erasure import MASTER_KEY_FILE, SEALED_PREFIX, MasterKey, Seal
from ledger.errors import (
    MasterKeyDamaged,
    MasterKeyMissing,
    MasterKeyWrong,
    SealBroken,
    SealedEvent,
    UnstorableText,
)
from ledger.events.person import PersonRegistered, PersonUpdated
from ledger.personal import ERASED
from ledger.values import new_id

SEAL = Seal(b"k" * 32, new_id(), new_id(), new_id())
ADA = PersonRegistered(handle="ada", name="Ada Löveläce", email="")


def test_sealed_bytes_hold_no_personal_text_and_differ_each_time() -> None:
    data = encode_data(ADA, SEAL)
    assert b"ada" not in data
    assert data != encode_data(ADA, SEAL)
    assert decode_data(ADA.type, 1, data, SEAL) == ADA


def test_without_the_key_every_field_that_was_set_reads_as_erased() -> None:
    gone = SEAL._replace(key=None)
    assert decode_data(ADA.type, 1, encode_data(ADA, SEAL), gone) == PersonRegistered(ERASED, ERASED, ERASED)
    update = PersonUpdated(email="a@b")
    assert decode_data(update.type, 1, encode_data(update, SEAL), gone) == PersonUpdated(email=ERASED)


@pytest.mark.parametrize("field", Seal._fields)
def test_another_key_ledger_person_or_event_does_not_open_it(field: str) -> None:
    data = encode_data(ADA, SEAL)
    other: dict[str, Any] = {field: b"x" * 32 if field == "key" else new_id()}
    with pytest.raises(SealBroken):
        decode_data(ADA.type, 1, data, SEAL._replace(**other))


def test_a_field_moved_to_another_name_or_changed_by_a_bit_does_not_open() -> None:
    fields = msgspec.json.decode(encode_data(ADA, SEAL))
    swapped = {**fields, "handle": fields["name"], "name": fields["handle"]}
    sealed = bytearray(base64.b64decode(fields["name"].removeprefix(SEALED_PREFIX)))
    sealed[20] ^= 1
    flipped = {**fields, "name": SEALED_PREFIX + base64.b64encode(sealed).decode()}
    for broken in (swapped, flipped, {**fields, "name": "Ada"}, {**fields, "name": ""}):
        with pytest.raises(SealBroken):
            decode_data(ADA.type, 1, msgspec.json.encode(broken), SEAL)


def test_personal_fields_are_never_encoded_or_decoded_without_a_seal() -> None:
    with pytest.raises(SealedEvent):
        encode_data(ADA)
    with pytest.raises(SealedEvent):
        decode_data(ADA.type, 1, encode_data(ADA, SEAL))
    with pytest.raises(SealBroken):
        encode_data(ADA, SEAL._replace(key=None))
    with pytest.raises(SealBroken):
        encode_data(PersonUpdated(name=ERASED), SEAL)
    with pytest.raises(UnstorableText):
        encode_data(PersonUpdated(name="a\x00b"), SEAL)


def test_a_wrapped_key_opens_only_for_its_subject_and_under_its_master_key() -> None:
    master, workspace, subject = MasterKey.generate(), UUID(int=0), new_id()
    key, wrapped = master.new_key(workspace, subject)
    assert key not in wrapped
    assert master.unwrap(wrapped, workspace, subject) == key
    with pytest.raises(SealBroken):
        master.unwrap(wrapped, workspace, new_id())
    with pytest.raises(SealBroken):
        master.unwrap(wrapped[:-1], workspace, subject)
    other = MasterKey.generate()
    with pytest.raises(MasterKeyWrong) as wrong:
        other.unwrap(wrapped, workspace, subject)
    assert (wrong.value.wanted, wrong.value.found) == (master.id.hex(), other.id.hex())


def test_the_key_file_is_read_back_or_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyMissing):
        MasterKey.read(tmp_path)
    path, master = tmp_path / MASTER_KEY_FILE, MasterKey.generate()
    path.write_text(master.text())
    assert MasterKey.read(tmp_path).id == master.id
    assert MasterKey.read(tmp_path).keyed_hash(b"x") == master.keyed_hash(b"x")
    for text in ("", "{}", master.text()[:-9], '{"format":2,"hashing_key":"","wrapping_key":""}', "\xff"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(MasterKeyDamaged):
            MasterKey.read(tmp_path)
    assert stat.S_ISREG(path.stat().st_mode)
