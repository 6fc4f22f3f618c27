"""Checks a bundle that `everline export` wrote, with nothing but Python's standard library (3.10 or newer).

    python3 verify.py [BUNDLE] [--key NAME+ID+KEY]

BUNDLE is the directory or the .zip file; without it, the directory of this file. The exit code is 0 when every event
is what the signed checkpoint covers, 3 when something was changed, 2 when the arguments are wrong. Hashes and proofs
are those of RFC 6962 and RFC 9162, signatures those of RFC 8032, checkpoints those of C2SP tlog-checkpoint.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HASH_BYTES = 32
PROOF_HASHES_MAX = 64
LINE_BYTES_MAX = 1 << 17
TEXT_BYTES_MAX = 1 << 20
ENTRY_BYTES_MAX = 65_535
EMPTY_ROOT = hashlib.sha256(b"").digest()
FORMAT = "everline-bundle/1"
EXIT_BROKEN = 3


class Broken(Exception):
    """What does not hold. `code` is stable; `position` is the first event that it may concern, `last` the last one."""

    def __init__(self, code: str, message: str, *, position: int | None = None, last: int | None = None) -> None:
        self.code, self.message, self.position, self.last = code, message, position, last
        super().__init__(message)


# --- Merkle tree (RFC 9162, section 2.1) ---


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def grow(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Adds leaf number `size` to the perfect subtrees' roots of a tree with `size` leaves."""
    while size & 1:
        leaf = node_hash(frontier.pop(), leaf)
        size >>= 1
    frontier.append(leaf)


def root_of_frontier(frontier: list[bytes]) -> bytes:
    """The root hash of the tree with this frontier."""
    if not frontier:
        return EMPTY_ROOT
    result = frontier[-1]
    for left in reversed(frontier[:-1]):
        result = node_hash(left, result)
    return result


def proves_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2; leaves are counted from 0."""
    if not 0 <= index < size or len(proof) > PROOF_HASHES_MAX:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def proves_consistency(old_size: int, size: int, proof: list[bytes], old_root: bytes, root: bytes) -> bool:
    """RFC 9162, section 2.1.4.2: the tree with `size` leaves extends the one with `old_size`."""
    if not 0 <= old_size <= size or len(proof) > PROOF_HASHES_MAX:
        return False
    if old_size == size:
        return not proof and old_root == root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_result = result = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_result, result = node_hash(sibling, old_result), node_hash(sibling, result)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_result == old_root and result == root


# --- Ed25519 (RFC 8032, section 5.1): points are extended homogeneous coordinates (X, Y, Z, T) ---

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
SQRT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
BASE_Y = 4 * pow(5, -1, PRIME) % PRIME

Point = tuple[int, int, int, int]


def recover_x(y: int, sign: int) -> int | None:
    """The x of a point with this y; None when there is none."""
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME)
    if square % PRIME == 0:
        return None if sign else 0
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * SQRT_OF_MINUS_ONE % PRIME
    if (x * x - square) % PRIME:
        return None
    return PRIME - x if x & 1 != sign else x


def decompress(encoded: bytes) -> Point | None:
    """The point that 32 bytes stand for."""
    number = int.from_bytes(encoded, "little")
    y = number & ((1 << 255) - 1)
    x = recover_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % PRIME)


def add(p: Point, q: Point) -> Point:
    """The sum of two points."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % PRIME
    b = (p[1] + p[0]) * (q[1] + q[0]) % PRIME
    c = 2 * p[3] * q[3] * CURVE_D % PRIME
    d = 2 * p[2] * q[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)


def multiply(scalar: int, point: Point) -> Point:
    """The point added to itself `scalar` times."""
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def is_same(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % PRIME == 0 and (p[1] * q[2] - q[1] * p[2]) % PRIME == 0


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032, section 5.1.7."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = decompress(public_key), decompress(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or response >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    base_x = recover_x(BASE_Y, 0) or 0
    base: Point = (base_x, BASE_Y, 1, base_x * BASE_Y % PRIME)
    return is_same(multiply(response, base), add(commitment, multiply(challenge, key)))


# --- Signed checkpoints (C2SP signed-note, tlog-checkpoint) ---


class Key:
    """A public key with the name that it signs under, written `name+keyid+base64(type || key)`."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.name, _, rest = self.text.partition("+")
        key_id, _, value = rest.partition("+")
        content = from_base64(value, "key_malformed")
        if not self.name or len(content) != 33 or content[0] != 1:
            raise Broken("key_malformed", "a key is written name+keyid+base64, and is an Ed25519 key")
        self.public_key = content[1:]
        self.id = key_id_of(self.name, self.public_key)
        if self.id.hex() != key_id.lower():
            raise Broken("key_malformed", "the key's id does not belong to its name: it was mistyped or altered")

    def named(self, name: str) -> Key:
        """The same key under another log's name: a deployment signs for all of its workspaces with one key."""
        return key_of(name, self.public_key)


def key_of(name: str, public_key: bytes) -> Key:
    """The key with a name."""
    return Key(f"{name}+{key_id_of(name, public_key).hex()}+{base64.b64encode(bytes([1]) + public_key).decode()}")


def key_id_of(name: str, public_key: bytes) -> bytes:
    """The first four bytes of SHA-256(name, newline, type, key)."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]


class Checkpoint:
    """A log's origin, size and root as a signed note says them; `verify` before anything of it is believed."""

    def __init__(self, note: str) -> None:
        self.note = note
        text, separator, signatures = note.rpartition("\n\n")
        lines = text.split("\n")
        if not separator or len(lines) != 3 or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
            raise Broken("checkpoint_malformed", "a checkpoint is three lines (origin, size, root) and signatures")
        self.text = text + "\n"
        self.origin, self.size = lines[0], int(lines[1])
        self.root = from_base64(lines[2], "checkpoint_malformed")
        self.signatures = [line.split(" ") for line in signatures.split("\n") if line]
        if len(self.root) != HASH_BYTES or any(len(line) != 3 or line[0] != "—" for line in self.signatures):
            raise Broken("checkpoint_malformed", "the checkpoint's root or a signature line is not of the right form")

    def verify(self, key: Key) -> None:
        """Raises Broken unless this key signed it under the origin as its name."""
        if self.origin != key.name:
            raise Broken("checkpoint_foreign", f"the checkpoint is of {self.origin}, not of {key.name}")
        for _, name, value in self.signatures:
            content = from_base64(value, "checkpoint_malformed")
            if (name, content[:4]) == (key.name, key.id) and signature_holds(
                key.public_key, self.text.encode(), content[4:]
            ):
                return
        raise Broken(
            "checkpoint_not_signed",
            f"the checkpoint of {self.origin} at size {self.size} has no valid signature of the trusted key: "
            "another key signed it, or it was altered",
        )


def from_base64(text: str, code: str) -> bytes:
    """The bytes; Broken with the code when it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Broken(code, "something that must be base64 is not") from None


# --- Bundles ---


class Bundle:
    """The files of a bundle, in a directory or a .zip file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise Broken("bundle_unreadable", f"there is no bundle at {path}")
        with readable(str(path)):
            self._root: Path | zipfile.Path = path if path.is_dir() else zipfile.Path(path)

    @contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """One file, open for reading."""
        with readable(name), (self._root / name).open("rb") as opened:
            yield opened

    def text(self, name: str) -> str:
        """A small file."""
        with self.file(name) as opened:
            content: bytes = opened.read(TEXT_BYTES_MAX + 1)
        if len(content) > TEXT_BYTES_MAX:
            raise Broken("bundle_malformed", f"{name} of the bundle is too long")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise Broken("bundle_malformed", f"{name} of the bundle is not UTF-8 text") from None


@contextmanager
def readable(name: str) -> Iterator[None]:
    """A file that is missing, cut off or damaged is named."""
    try:
        yield
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Broken("bundle_unreadable", f"{name} cannot be read: {error}") from error


class Claim:
    """What bundle.json says that the bundle is. Nothing of it is believed before the proof holds."""

    def __init__(self, text: str) -> None:
        try:
            said = json.loads(text)
            if said["format"] != FORMAT:
                raise Broken("bundle_malformed", f"this verifier reads {FORMAT}, the bundle is {said['format']!r}")
            self.origin = str(said["origin"])
            self.first, self.last, self.size = (int(said[name]) for name in ("from", "to", "size"))
            self.frontier = [from_base64(one, "bundle_malformed") for one in said["frontier"]]
            self.consistency = [from_base64(one, "bundle_malformed") for one in said["consistency"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Broken("bundle_malformed", f"bundle.json is not what it should be: {error!r}") from None
        if not 1 <= self.first <= self.last <= self.size:
            raise Broken("bundle_malformed", "bundle.json names positions that no log can have")
        if len(self.frontier) != (self.first - 1).bit_count():
            raise Broken("bundle_malformed", "bundle.json has not as many frontier hashes as its first position needs")


def check_bundle(path: Path, key_text: str | None = None) -> dict[str, object]:
    """What was verified. Raises Broken with the first position that is not what was signed.

    Needs no more memory than one event and a few dozen hashes."""
    bundle = Bundle(path)
    claim = Claim(bundle.text("bundle.json"))
    key = Key(key_text if key_text is not None else bundle.text("key.txt"))
    # A deployment's own key vouches for its workspaces, which are named below it.
    if key.name != claim.origin and claim.origin.startswith(key.name + "/"):
        key = key.named(claim.origin)
    checkpoint = Checkpoint(bundle.text("checkpoint.txt"))
    checkpoint.verify(key)
    if (checkpoint.origin, checkpoint.size) != (claim.origin, claim.size):
        raise Broken("checkpoint_foreign", "the checkpoint is not the one that bundle.json speaks of")
    frontier, first_bad = follow_events(bundle, claim)
    root = root_of_frontier(frontier)
    if not proves_consistency(claim.last, claim.size, claim.consistency, root, checkpoint.root):
        position = first_bad if first_bad is not None else claim.first
        raise Broken(
            "proof_invalid",
            f"the hashes of positions {claim.first} to {claim.last} do not lead to the root that was signed",
            position=position,
            last=claim.last,
        )
    if first_bad is not None:
        raise Broken("event_changed", f"the event at position {first_bad} is not what was sealed", position=first_bad)
    return {
        "origin": claim.origin,
        "from": claim.first,
        "to": claim.last,
        "events": claim.last - claim.first + 1,
        "checkpoint_size": checkpoint.size,
        "root": base64.b64encode(checkpoint.root).decode(),
        "key": key.text,
    }


def follow_events(bundle: Bundle, claim: Claim) -> tuple[list[bytes], int | None]:
    """The frontier after the listed hashes, and the first position whose event does not hash to the listed one."""
    frontier, first_bad = list(claim.frontier), None
    with bundle.file("events.jsonl") as events, bundle.file("hashes.txt") as hashes:
        for position in range(claim.first, claim.last + 1):
            listed = from_base64(hashes.readline(LINE_BYTES_MAX).strip().decode("ascii", "replace"), "bundle_malformed")
            if len(listed) != HASH_BYTES:
                raise Broken("bundle_malformed", f"hashes.txt has no hash for position {position}", position=position)
            line = events.readline(LINE_BYTES_MAX)
            if first_bad is None and not is_event(line, position, claim.origin, listed):
                first_bad = position
            grow(frontier, position - 1, listed)
        if first_bad is None and events.readline(LINE_BYTES_MAX):
            raise Broken("event_inserted", f"there is an event after position {claim.last}", position=claim.last + 1)
    return frontier, first_bad


def is_event(line: bytes, position: int, origin: str, listed: bytes) -> bool:
    """Whether a line is the event with this leaf hash, and says itself that it stands here."""
    entry = line[:-1]
    if line[-1:] != b"\n" or len(entry) > ENTRY_BYTES_MAX or leaf_hash(entry) != listed:
        return False
    try:
        said = json.loads(entry)
        return bool(said["position"] == position and origin.endswith("/" + said["workspace_id"]))
    except (ValueError, KeyError, TypeError):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks a bundle that `everline export` wrote.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", help="the log's key as you know it from elsewhere; else the bundle's own key.txt")
    given = parser.parse_args()
    try:
        found = check_bundle(given.bundle, given.key)
    except Broken as broken:
        where = "" if broken.position is None else f" (first bad position: {broken.position})"
        print(f"NOT VERIFIED [{broken.code}]{where}: {broken.message}", file=sys.stderr)
        return EXIT_BROKEN
    print(f"verified: positions {found['from']} to {found['to']} of {found['origin']}")
    print(f"          {found['events']} events under the checkpoint of size {found['checkpoint_size']}")
    print(f"          signed with {found['key']}")
    if given.key is None:
        print("          (the key is the bundle's own: compare it with the one that you know from elsewhere)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
