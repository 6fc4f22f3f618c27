"""Signed notes: the published example keys, round trips, and everything that must be refused by name."""

from __future__ import annotations

import contextlib
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import checkpoint, signing, tiles
from ledger.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey
from ledger.proof_errors import (
    CheckpointForeign,
    CheckpointMalformed,
    CheckpointUnsigned,
    KeyMalformed,
    SignerFailed,
    TileTruncated,
)

ORIGIN = "everline-test/0190a3c1-0000-7000-8000-000000000001"
# The Go module mirror's key and a tree head of its log, as published.
SUM_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


@pytest.fixture
def signer(tmp_path: Path) -> signing.KeyFile:
    signing.make_key_file(tmp_path / "keys" / "checkpoint.pem")
    return signing.KeyFile(tmp_path / "keys" / "checkpoint.pem")


def signed(signer: signing.Signer, *, origin: str = ORIGIN, size: int = 7) -> SignedCheckpoint:
    return checkpoint.sign(Checkpoint(origin, size, b"\x11" * 32), signer)


def test_a_published_key_has_the_published_key_id() -> None:
    key = checkpoint.parse_key(SUM_KEY)
    assert key.key_id.hex() == "033de0ae"
    assert str(key) == SUM_KEY


def test_a_checkpoint_reads_back_as_it_was_signed(signer: signing.KeyFile) -> None:
    made = signed(signer)
    assert made.note.startswith(f"{ORIGIN}\n7\n{checkpoint.encoded(bytes([0x11]) * 32)}\n\n— {ORIGIN} ")
    read = checkpoint.parse(made.note)
    assert read == made
    read.verify(VerifierKey(ORIGIN, signer.public_key))


def test_a_checkpoint_of_another_log_is_refused(signer: signing.KeyFile) -> None:
    with pytest.raises(CheckpointForeign, match="is of everline-test/other, not of"):
        signed(signer, origin="everline-test/other").verify(VerifierKey(ORIGIN, signer.public_key))


def test_a_wrong_key_is_refused(signer: signing.KeyFile) -> None:
    with pytest.raises(CheckpointUnsigned, match="no valid signature"):
        signed(signer).verify(VerifierKey(ORIGIN, b"\x01" + signer.public_key[1:]))


def test_an_altered_size_is_refused(signer: signing.KeyFile) -> None:
    altered = checkpoint.parse(signed(signer).note.replace("\n7\n", "\n8\n"))
    with pytest.raises(CheckpointUnsigned):
        altered.verify(VerifierKey(ORIGIN, signer.public_key))


def test_signatures_of_others_are_ignored(signer: signing.KeyFile) -> None:
    made = signed(signer)
    others = [checkpoint.Signature("witness.example", b"abcd", b"x" * 72), *made.signatures]
    read = checkpoint.parse(made._replace(signatures=tuple(others)).note)
    read.verify(VerifierKey(ORIGIN, signer.public_key))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "no\nempty line\n",
        "o\n1\nshort\n\n— o AAAAAAAA\n",
        f"o\n01\n{'A' * 43}=\n\n— o AAAAAAAA\n",
        f"o\n-1\n{'A' * 43}=\n\n— o AAAAAAAA\n",
        f"o\n1\n{'A' * 43}=\nextension\n\n— o AAAAAAAA\n",
        f"with space\n1\n{'A' * 43}=\n\n— o AAAAAAAA\n",
        f"o\n1\n{'A' * 43}=\n\n",
        f"o\n1\n{'A' * 43}=\n\n- o AAAAAAAA\n",
        f"o\n1\n{'A' * 43}=\n\n— o AAAA\n",
        f"o\n1\n{'A' * 43}=\n\n— o AAAAAAAA",
        f"o\n1\n{'A' * 43}=\n\n" + "— o AAAAAAAA\n" * 17,
        "x" * 9_000,
    ],
)
def test_what_is_no_checkpoint_is_refused_by_name(note: str) -> None:
    with pytest.raises(CheckpointMalformed, match="this is no signed checkpoint"):
        checkpoint.parse(note)


@given(st.text(max_size=200))
def test_any_text_is_a_checkpoint_or_is_refused_by_name(note: str) -> None:
    with contextlib.suppress(CheckpointMalformed):
        assert checkpoint.parse(note).note == note


@pytest.mark.parametrize("text", ["", "name", "a+b", SUM_KEY[:-4], SUM_KEY.replace("033de0ae", "033de0af"), "a+b+c+d"])
def test_what_is_no_key_is_refused_by_name(text: str) -> None:
    with pytest.raises(KeyMalformed):
        checkpoint.parse_key(text)


def test_a_key_file_is_its_owners_and_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pem"
    signing.make_key_file(path)
    first = path.read_bytes()
    signing.make_key_file(path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pem").write_text("not a key")
    with pytest.raises(SignerFailed, match="cannot be read"):
        signing.KeyFile(tmp_path / "checkpoint.pem")


SIGNER = """
import base64, sys
from pathlib import Path
from ledger.signing import KeyFile
key = KeyFile(Path(sys.argv[1]))
answer = key.public_key if sys.argv[2] == "public-key" else key.sign(sys.stdin.buffer.read())
print(base64.b64encode(answer).decode())
"""


def test_an_external_command_signs(tmp_path: Path, signer: signing.KeyFile) -> None:
    (tmp_path / "signer.py").write_text(SIGNER)
    command = f"{sys.executable} {tmp_path / 'signer.py'} {tmp_path / 'keys' / 'checkpoint.pem'}"
    external = signing.SignerCommand(command)
    assert external.public_key == signer.public_key
    signed(external).verify(VerifierKey(ORIGIN, signer.public_key))


@pytest.mark.parametrize("command", ["/nowhere/signer", "false", "echo not-base64", "echo AAAA"])
def test_a_command_that_does_not_sign_is_named(command: str) -> None:
    with pytest.raises(SignerFailed, match="the signer command"):
        signing.SignerCommand(command)


def test_a_truncated_tile_is_named() -> None:
    with pytest.raises(TileTruncated, match="tile 0/1 holds 2 hashes where 44 are needed"):
        tiles.Edge(300, {tiles.Tile(0, 1): b"\x00" * 64, tiles.Tile(1, 0): b"\x00" * 32})


@pytest.mark.parametrize(
    "text", ["", "1", "0001", "x001", "x01/001", "001/002", "000.p/256", "000.p/0", "x000/001", "\u0660" * 3]
)
def test_what_is_no_address_of_a_tile(text: str) -> None:
    assert tiles.parse_address(text) is None


def test_the_address_of_the_specification() -> None:
    assert tiles.address(1234067) == "x001/x234/067"
