"""Who signs checkpoints: a key file of this deployment, or a command that keeps the key elsewhere (an HSM, an agent).

Nothing but the sealer ever holds a `Signer`; everything else verifies with the public key.
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import subprocess
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ledger.proof_errors import SignerFailed

COMMAND_SECONDS_MAX = 4
"""Below the five seconds after which PostgreSQL ends a transaction that says nothing: the sealer signs inside one."""

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32


class Signer(Protocol):
    """Ed25519 over bytes. `sign` may block for as long as COMMAND_SECONDS_MAX; raises SignerFailed."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class KeyFile:
    """A private key in a PEM file (PKCS #8, as OpenSSL writes it) that only its owner may read."""

    def __init__(self, path: Path) -> None:
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise SignerFailed(f"the key file {path} cannot be read: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SignerFailed(f"the key in {path} is not an Ed25519 key")
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class SignerCommand:
    """A command that signs: `<command> public-key` prints the key in base64, `<command> sign` signs its stdin."""

    def __init__(self, command: str) -> None:
        self._words = shlex.split(command)
        self.public_key = self._asked("public-key", b"", size_bytes=PUBLIC_KEY_BYTES)

    def sign(self, message: bytes) -> bytes:
        return self._asked("sign", message, size_bytes=SIGNATURE_BYTES)

    def _asked(self, verb: str, message: bytes, *, size_bytes: int) -> bytes:
        try:
            done = subprocess.run(
                [*self._words, verb], input=message, capture_output=True, timeout=COMMAND_SECONDS_MAX, check=True
            )
            answer = base64.b64decode(done.stdout.strip(), validate=True)
        except (OSError, subprocess.SubprocessError, binascii.Error) as error:
            raise SignerFailed(f"the signer command could not {verb}: {error}") from error
        if len(answer) != size_bytes:
            raise SignerFailed(f"the signer command answered {verb} with {len(answer)} bytes, not {size_bytes}")
        return answer


def make_key_file(path: Path) -> None:
    """Makes a key, unless there is a file. Readable by its owner only, and whole or absent after a crash."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
