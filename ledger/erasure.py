"""Keys for personal fields. Each person has a data key that encrypts them; destroying it erases the person.

A data key is stored only wrapped by the deployment's wrapping key, which lies in a file outside the database, so that
the database and its backups alone hold no readable key. AES-256-GCM throughout: what was moved to another person,
event or field does not decrypt.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.errors import MasterKeyDamaged, MasterKeyMissing, MasterKeyWrong, SealBroken
from ledger.personal import ERASED

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 8
SEALED_PREFIX = "aes256gcm:"
"""Names the algorithm of a sealed field: another one gets another prefix."""

MASTER_KEY_FILE = "master.key"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key file. Only the wrapping key can be exchanged: claims and request hashes stand on the hashing key."""

    wrapping_key: bytes
    hashing_key: bytes
    format: int = 1


class MasterKey:
    """The deployment's two secrets: one wraps data keys, the other makes personal text unguessable where only
    equality matters (claims, hashes of requests)."""

    def __init__(self, wrapping_key: bytes, hashing_key: bytes) -> None:
        self._stored = _Stored(wrapping_key, hashing_key)
        self.id = sha256(b"everline wrapping key\0" + wrapping_key).digest()[:KEY_ID_BYTES]

    @classmethod
    def generate(cls) -> MasterKey:
        return cls(os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))

    @classmethod
    def read(cls, directory: Path) -> MasterKey:
        """The key in this directory. Raises MasterKeyMissing or MasterKeyDamaged."""
        path = directory / MASTER_KEY_FILE
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            raise MasterKeyMissing(str(path)) from None
        except OSError as error:
            raise MasterKeyDamaged(str(path), error.strerror or str(error)) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise MasterKeyDamaged(str(path), str(error)) from error
        if stored.format != 1 or {len(stored.wrapping_key), len(stored.hashing_key)} != {KEY_BYTES}:
            raise MasterKeyDamaged(str(path), "it does not hold two keys of 256 bits")
        return cls(stored.wrapping_key, stored.hashing_key)

    def text(self) -> str:
        """What the key file holds."""
        return msgspec.json.encode(self._stored).decode() + "\n"

    def new_key(self, workspace_id: UUID, subject: UUID) -> tuple[bytes, bytes]:
        """A data key for a subject, and the same wrapped."""
        key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        return key, self.id + nonce + _encrypt(self._stored.wrapping_key, nonce, key, _context(workspace_id, subject))

    def unwrap(self, wrapped: bytes, workspace_id: UUID, subject: UUID) -> bytes:
        """Raises MasterKeyWrong when another wrapping key made it, SealBroken when it was altered."""
        key_id, nonce, sealed = (
            wrapped[:KEY_ID_BYTES],
            wrapped[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES],
            wrapped[KEY_ID_BYTES + NONCE_BYTES :],
        )
        if key_id != self.id:
            raise MasterKeyWrong(wanted=key_id.hex(), found=self.id.hex())
        key = _decrypt(self._stored.wrapping_key, nonce, sealed, _context(workspace_id, subject))
        if key is None:
            raise SealBroken(f"the key of subject {subject}")
        return key

    def keyed_hash(self, content: bytes) -> bytes:
        """HMAC-SHA-256: equal for equal content, and of no use for guessing without the key."""
        return hmac.digest(self._stored.hashing_key, content, "sha256")


class Seal(NamedTuple):
    """What seals and opens the personal fields of one event. Without a key, each reads as ERASED."""

    key: bytes | None
    workspace_id: UUID
    subject: UUID
    event_id: UUID

    def close(self, field: str, text: str) -> str:
        """The field as it is stored. A field keeps its name for ever: the name is part of what is authenticated."""
        if self.key is None or text == ERASED:
            raise SealBroken(f"{field} of event {self.event_id}, which would be written after the erasure")
        nonce = os.urandom(NONCE_BYTES)
        sealed = _encrypt(self.key, nonce, text.encode(), self._context(field))
        return SEALED_PREFIX + base64.b64encode(nonce + sealed).decode()

    def open(self, field: str, stored: str) -> str:
        """The inverse of `close`. Raises SealBroken for what this key did not seal for this field of this event."""
        if self.key is None:
            return ERASED
        try:
            sealed = base64.b64decode(stored.removeprefix(SEALED_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        text = _decrypt(self.key, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._context(field))
        if text is None:
            raise SealBroken(f"{field} of event {self.event_id}")
        return text.decode()

    def _context(self, field: str) -> bytes:
        return _context(self.workspace_id, self.subject, self.event_id.bytes, field.encode())


def _context(workspace_id: UUID, subject: UUID, *rest: bytes) -> bytes:
    return b"".join((workspace_id.bytes, subject.bytes, *rest))


def _encrypt(key: bytes, nonce: bytes, content: bytes, context: bytes) -> bytes:
    # Imported where it is needed: most programs, most of the time, meet no personal field.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).encrypt(nonce, content, context)


def _decrypt(key: bytes, nonce: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """None for what this key did not encrypt in this context."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(nonce, sealed, context)
    except (InvalidTag, ValueError):  # a nonce of another length is a ValueError
        return None
