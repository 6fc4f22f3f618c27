"""Signed checkpoints: what a log was at one size, in C2SP tlog-checkpoint form inside a signed note.

A checkpoint's signature is Ed25519 under the log's origin as the key's name, so a signature for one workspace can
never pass for another's, although one deployment signs them all with one key.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ledger.merkle import HASH_BYTES
from ledger.proof_errors import CheckpointForeign, CheckpointMalformed, CheckpointUnsigned, KeyMalformed

if TYPE_CHECKING:
    from ledger.signing import Signer

ED25519 = 0x01
COSIGNATURE = 0x04
PUBLIC_KEY_BYTES = 32
KEY_ID_BYTES = 4
SIGNATURES_MAX = 16
NOTE_BYTES_MAX = 8 << 10
SIZE_DIGITS_MAX = 18

_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(rf"0|[1-9][0-9]{{0,{SIZE_DIGITS_MAX - 1}}}", re.ASCII)
NAME = re.compile(r"[^\s+]{1,200}")
"""The names of keys and logs in signed notes: no spaces, no plus."""


class VerifierKey(NamedTuple):
    """A public key with the name it signs under, written `name+keyid+base64(type || key)` as in signed notes."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first bytes of SHA-256(name, newline, type, key): which key a signature line claims to be of."""
        return sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.public_key).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encoded(bytes([ED25519]) + self.public_key)}"

    def named(self, name: str) -> VerifierKey:
        """The same key under another log's name."""
        return VerifierKey(name, self.public_key)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message."""
        # Loaded when it is used: 10 MiB that most processes which speak of checkpoints never need.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signature(NamedTuple):
    """A line of a signed note: who claims to have signed, under which key, and the signature's bytes."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {encoded(self.key_id + self.value)}\n"


class Checkpoint(NamedTuple):
    """A log's size and root hash. The text is what is signed."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{encoded(self.root)}\n"


class SignedCheckpoint(NamedTuple):
    """A checkpoint with its signature lines, the log's own and those of witnesses."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    @property
    def note(self) -> str:
        """The signed note."""
        return self.checkpoint.text + "\n" + "".join(str(signature) for signature in self.signatures)

    def verify(self, key: VerifierKey) -> None:
        """Raises CheckpointForeign when it is another log's, CheckpointUnsigned when this key did not sign it."""
        if self.checkpoint.origin != key.name:
            raise CheckpointForeign(self.checkpoint.origin, expected=key.name)
        message = self.checkpoint.text.encode()
        for signature in self.signatures:
            if (signature.name, signature.key_id) == (key.name, key.key_id) and key.verifies(message, signature.value):
                return
        raise CheckpointUnsigned(key.name, size=self.checkpoint.size)


def sign(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """Signs under the checkpoint's own origin. Raises SignerFailed, or CheckpointUnsigned for a wrong signature."""
    key = VerifierKey(checkpoint.origin, signer.public_key)
    value = signer.sign(checkpoint.text.encode())
    signed = SignedCheckpoint(checkpoint, (Signature(key.name, key.key_id, value),))
    signed.verify(key)
    return signed


def cosign(checkpoint: Checkpoint, signer: Signer, *, name: str, time: int) -> Signature:
    """A witness's signature (C2SP tlog-cosignature): that it saw this checkpoint extend all that it saw before."""
    message = f"cosignature/v1\ntime {time}\n{checkpoint.text}".encode()
    key_id = sha256(name.encode() + b"\n" + bytes([COSIGNATURE]) + signer.public_key).digest()[:KEY_ID_BYTES]
    return Signature(name, key_id, time.to_bytes(8, "big") + signer.sign(message))


def parse(note: str) -> SignedCheckpoint:
    """Reads a signed note. Raises CheckpointMalformed; says nothing of whether the signatures hold."""
    if len(note.encode()) > NOTE_BYTES_MAX:
        raise CheckpointMalformed(f"it is longer than {NOTE_BYTES_MAX} bytes")
    text, separator, signature_lines = note.rpartition("\n\n")
    if not separator:
        raise CheckpointMalformed("it has no empty line before its signatures")
    checkpoint = _parse_text(text)
    lines = signature_lines.split("\n")
    if lines.pop() != "" or not 1 <= len(lines) <= SIGNATURES_MAX:
        raise CheckpointMalformed(f"it must end with 1 to {SIGNATURES_MAX} signature lines")
    return SignedCheckpoint(checkpoint, tuple(_parse_signature(line) for line in lines))


def _parse_text(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 3:
        raise CheckpointMalformed("its text must be three lines: origin, size and root hash")
    origin, size, root = lines
    if not NAME.fullmatch(origin):
        raise CheckpointMalformed("its origin is no name")
    if not _SIZE.fullmatch(size):
        raise CheckpointMalformed("its size is no whole number")
    return Checkpoint(origin, int(size), decoded_hash(root))


def _parse_signature(line: str) -> Signature:
    found = _SIGNATURE.fullmatch(line)
    try:
        value = base64.b64decode(found["value"], validate=True) if found else b""
    except binascii.Error:
        value = b""
    if found is None or len(value) <= KEY_ID_BYTES:
        raise CheckpointMalformed("a signature line is not of the form `— name base64`")
    return Signature(found["name"], value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


def parse_key(text: str) -> VerifierKey:
    """Reads `name+keyid+base64`. Raises KeyMalformed."""
    name, _, rest = text.strip().partition("+")
    key_id, _, value = rest.partition("+")
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise KeyMalformed("its last part is not base64") from None
    if not NAME.fullmatch(name) or len(content) != 1 + PUBLIC_KEY_BYTES or content[0] != ED25519:
        raise KeyMalformed("it must be name+keyid+base64 of an Ed25519 key")
    key = VerifierKey(name, content[1:])
    if key.key_id.hex() != key_id.lower():
        raise KeyMalformed("its key id does not belong to its name and key: it was mistyped or altered")
    return key


def encoded(value: bytes) -> str:
    """Standard base64, as everywhere in these formats."""
    return base64.b64encode(value).decode()


def decoded_hash(text: str) -> bytes:
    """A hash in base64. Raises CheckpointMalformed."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != HASH_BYTES:
        raise CheckpointMalformed("a hash is not base64 of 32 bytes")
    return value
