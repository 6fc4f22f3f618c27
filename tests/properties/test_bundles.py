"""Bundles of any range verify with the standalone checker, and no change to any file of one goes unnoticed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from everline.proof import bundle, verify
from everline.proof.verify import Broken, Checkpoint, Key
from ledger import checkpoint as server
from ledger import merkle

WORKSPACE = "0190a3c1-0000-7000-8000-000000000001"
ORIGIN = f"everline-test/{WORKSPACE}"
SIZE = 40


class TestSigner:
    """A key that lives as long as the test."""

    __test__ = False

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


SIGNER = TestSigner()
ENTRIES = [
    json.dumps({"data": {"n": n}, "position": n + 1, "workspace_id": WORKSPACE}, sort_keys=True).encode()
    for n in range(SIZE)
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]


class MemoryLog:
    """What `write_bundle` asks of a server, answered from lists."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size

    def key(self) -> Key:
        return verify.key_of(ORIGIN, SIGNER.public_key)

    def checkpoint(self, *, covering: int | None = None) -> Checkpoint:
        assert covering is None or covering <= self.size
        root = merkle.root_of(LEAVES[: self.size])
        return Checkpoint(server.sign(server.Checkpoint(ORIGIN, self.size, root), SIGNER).note)

    def frontier(self, size: int) -> list[bytes]:
        return [self._node(node) for node in merkle.frontier_nodes(size)]

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        spans = merkle.consistency_spans(old_size, size)
        return merkle.hashes_of(spans, {node: self._node(node) for node in merkle.nodes_of(spans)})

    def entries(self, first: int, last: int, *, size: int) -> Iterator[tuple[int, bytes, bytes]]:
        assert last <= size
        for position in range(first, last + 1):
            yield position, ENTRIES[position - 1], LEAVES[position - 1]

    def _node(self, node: merkle.Node) -> bytes:
        return merkle.root_of(LEAVES[node.number << node.level : (node.number + 1) << node.level])


def written(directory: Path, first: int, last: int, *, name: str = "bundle", size: int = SIZE) -> Path:
    bundle.write_bundle(MemoryLog(size), directory / name, first=first, last=last)  # type: ignore[arg-type]
    return directory / name


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    size = draw(st.integers(1, SIZE))
    last = draw(st.integers(1, size))
    return draw(st.integers(1, last)), last, size


@settings(max_examples=40, deadline=None)
@given(ranges())
def test_any_range_verifies(where: tuple[int, int, int]) -> None:
    first, last, size = where
    with tempfile.TemporaryDirectory() as directory:
        found = verify.check_bundle(written(Path(directory), first, last, size=size))
    assert (found["from"], found["to"], found["checkpoint_size"]) == (first, last, size)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["events.jsonl", "hashes.txt", "checkpoint.txt", "bundle.json", "key.txt"]),
    st.integers(0),
    st.integers(1, 255),
)
def test_no_changed_byte_goes_unnoticed(name: str, where: int, flip: int) -> None:
    """Except in what says nothing: the layout of bundle.json, and the newline at the end of a key."""
    with tempfile.TemporaryDirectory() as directory:
        path = written(Path(directory), 7, 31) / name
        content = bytearray(path.read_bytes())
        content[where % len(content)] ^= flip
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            found = verify.check_bundle(path.parent, str(MemoryLog().key().text))
        except Broken:
            return
        assert (found["from"], found["to"]) == (7, 31)
        assert name in {"bundle.json", "key.txt"} or bytes(content).strip() == before.strip()


def lines(path: Path) -> list[bytes]:
    return (path / "events.jsonl").read_bytes().splitlines(keepends=True)


def put(path: Path, found: list[bytes]) -> None:
    (path / "events.jsonl").write_bytes(b"".join(found))


def change(path: Path) -> None:
    found = lines(path)
    found[5] = found[5].replace(b'"n": 11', b'"n": 12')
    put(path, found)


def change_with_hash(path: Path) -> None:
    change(path)
    hashes = (path / "hashes.txt").read_bytes().splitlines(keepends=True)
    hashes[5] = base64.b64encode(merkle.leaf_hash(lines(path)[5][:-1])) + b"\n"
    (path / "hashes.txt").write_bytes(b"".join(hashes))


def remove(path: Path) -> None:
    put(path, lines(path)[:5] + lines(path)[6:])


def remove_last(path: Path) -> None:
    put(path, lines(path)[:-1])


def insert(path: Path) -> None:
    put(path, [*lines(path)[:5], lines(path)[4], *lines(path)[5:]])


def insert_after(path: Path) -> None:
    put(path, [*lines(path), lines(path)[-1]])


def swap(path: Path) -> None:
    found = lines(path)
    found[5], found[9] = found[9], found[5]
    put(path, found)


def truncate_hashes(path: Path) -> None:
    (path / "hashes.txt").write_bytes((path / "hashes.txt").read_bytes()[:200])


def other_workspace(path: Path) -> None:
    root = merkle.root_of(LEAVES)
    signed = server.sign(server.Checkpoint("everline-test/other", SIZE, root), SIGNER)
    (path / "checkpoint.txt").write_text(signed.note)


def unsigned(path: Path) -> None:
    note = (path / "checkpoint.txt").read_text()
    (path / "checkpoint.txt").write_text(note.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n"))


def not_json(path: Path) -> None:
    (path / "bundle.json").write_text("{")


def newer_format(path: Path) -> None:
    said = (path / "bundle.json").read_text()
    (path / "bundle.json").write_text(said.replace("bundle/1", "bundle/2"))


def missing_file(path: Path) -> None:
    (path / "hashes.txt").unlink()


BREAKS: list[tuple[Callable[[Path], None], str, int | None]] = [
    (change, "event_changed", 12),
    (change_with_hash, "proof_invalid", 7),
    (remove, "event_changed", 12),
    (remove_last, "event_changed", 31),
    (insert, "event_changed", 12),
    (insert_after, "event_inserted", 32),
    (swap, "event_changed", 12),
    (truncate_hashes, "bundle_malformed", 11),
    (other_workspace, "checkpoint_foreign", None),
    (unsigned, "checkpoint_not_signed", None),
    (not_json, "bundle_malformed", None),
    (newer_format, "bundle_malformed", None),
    (missing_file, "bundle_unreadable", None),
]


@pytest.mark.parametrize(("damage", "code", "position"), BREAKS)
def test_what_is_wrong_with_a_bundle_is_named(
    tmp_path: Path, damage: Callable[[Path], None], code: str, position: int | None
) -> None:
    path = written(tmp_path, 7, 31)
    damage(path)
    with pytest.raises(Broken) as caught:
        verify.check_bundle(path)
    assert (caught.value.code, caught.value.position) == (code, position)


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    other = verify.key_of(ORIGIN, verify.key_of("x", SIGNER.public_key).public_key[:31] + b"\x01").text
    with pytest.raises(Broken) as caught:
        verify.check_bundle(written(tmp_path, 1, 3), other)
    assert caught.value.code == "checkpoint_not_signed"


def test_the_deployments_key_vouches_for_its_workspaces(tmp_path: Path) -> None:
    verify.check_bundle(written(tmp_path, 1, 3), verify.key_of("everline-test", SIGNER.public_key).text)


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path) -> None:
    class Tampered(MemoryLog):
        def entries(self, first: int, last: int, *, size: int) -> Iterator[tuple[int, bytes, bytes]]:
            for position, entry, sealed in super().entries(first, last, size=size):
                yield position, entry + b" " if position == 9 else entry, sealed

    with pytest.raises(Broken) as caught:
        bundle.write_bundle(Tampered(), tmp_path / "b", first=1, last=20)  # type: ignore[arg-type]
    assert caught.value.position == 9
    assert list(tmp_path.iterdir()) == []
    written(tmp_path, 1, 3)
    with pytest.raises(FileExistsError):
        written(tmp_path, 1, 3)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_stranger_checks_a_bundle_with_python_alone(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, 7, 31, name=name)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extract("verify.py", tmp_path)
        words = [str(tmp_path / "verify.py"), str(path)]
    else:
        words = [str(path / "verify.py")]
    run = [sys.executable, "-I", "-S", *words, "--key", MemoryLog().key().text]
    done = subprocess.run(run, capture_output=True, text=True, env={}, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    assert "positions 7 to 31" in done.stdout
    if not name.endswith(".zip"):
        change(path)
        done = subprocess.run(run, capture_output=True, text=True, env={}, cwd="/", check=False)
        assert done.returncode == 3
        assert "first bad position: 12" in done.stderr


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, 7, 31, name="bundle.zip")
    content = bytearray(path.read_bytes())
    shutil.copy(path, tmp_path / "whole.zip")
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(Broken) as caught:
        verify.check_bundle(path)
    assert caught.value.code == "bundle_unreadable"
    with pytest.raises(Broken) as caught:
        verify.check_bundle(tmp_path / "nowhere.zip")
    assert caught.value.code == "bundle_unreadable"


# RFC 8032, section 7.1: tests 1 to 3.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_signatures_of_rfc_8032(key: str, message: str, signature: str) -> None:
    public, text, value = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert verify.signature_holds(public, text, value)
    assert not verify.signature_holds(public, text + b"x", value)
    assert not verify.signature_holds(public, text, value[:-1])
    assert not verify.signature_holds(public, text, value[:32] + (verify.ORDER + 5).to_bytes(32, "little"))
    assert not verify.signature_holds(b"\xff" * 32, text, value)


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32), st.integers(0, 511))
def test_signatures_of_the_library(message: bytes, seed: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = bytearray(key.sign(message))
    assert verify.signature_holds(public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify.signature_holds(public, message, bytes(signature))


@given(st.integers(1, 300), st.data())
def test_both_verifiers_agree(size: int, data: st.DataObject) -> None:
    leaves = [sha256(bytes([n % 256, n // 256])).digest() for n in range(size)]

    class Nodes(dict[merkle.Node, bytes]):
        def __missing__(self, node: merkle.Node) -> bytes:
            return merkle.root_of(leaves[node.number << node.level : (node.number + 1) << node.level])

    root = merkle.root_of(leaves)
    index, old_size = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    inclusion = merkle.hashes_of(merkle.inclusion_spans(index, size), Nodes())
    assert verify.proves_inclusion(leaves[index], index, size, inclusion, root)
    consistency = merkle.hashes_of(merkle.consistency_spans(old_size, size), Nodes())
    assert verify.proves_consistency(old_size, size, consistency, merkle.root_of(leaves[:old_size]), root)
