"""A log as its server shows it: checkpoints, keys, entries, proofs. What it says is believed only once it verifies."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from everline.calls import Call, Place
from everline.client import CONTROL, Client
from everline.proof.verify import HASH_BYTES, Broken, Checkpoint, Key, from_base64

T = TypeVar("T")
BUNDLE_WIDTH = 256
CONTROL_ID = "00000000-0000-0000-0000-000000000000"


class Log:
    """A workspace's log, or without a workspace the deployment's own."""

    def __init__(self, client: Client, workspace: str | None) -> None:
        self._client = client
        self._path = f"{Place(workspace).path()}/log" if workspace else "/v1/log"

    @classmethod
    def of(cls, client: Client, origin: str, *, deployment: str) -> Log:
        """The log with an origin: the deployment's name, or that and a workspace's id."""
        if origin == deployment:
            return cls(client, None)
        workspace = origin.removeprefix(deployment + "/")
        return cls(client, CONTROL if workspace == CONTROL_ID else workspace)

    def key(self) -> Key:
        """The key that the server says it signs with."""
        return Key(self._raw("key").decode())

    def checkpoint(self, *, covering: int | None = None) -> Checkpoint:
        """The last signed checkpoint, or the first one that covers so many entries. Not verified yet."""
        return Checkpoint(self._raw("checkpoint", {} if covering is None else {"size": covering}).decode())

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """The proof that the log of one size extends the other."""
        return self._hashes("proofs/consistency", {"from": old_size, "to": size})

    def inclusion(self, position: int, size: int) -> tuple[bytes, list[bytes]]:
        """The leaf hash at a position, and the proof that the log of this size has it."""

        def decode(found: dict[str, Any]) -> tuple[bytes, list[bytes]]:
            return _hash(found["leaf_hash"]), [_hash(one) for one in found["hashes"]]

        return self._asked("proofs/inclusion", {"position": position, "size": size}, decode)

    def frontier(self, size: int) -> list[bytes]:
        """The perfect subtrees' roots of the log at a size."""
        return self._hashes("frontier", {"size": size}) if size else []

    def entries(self, first: int, last: int, *, size: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(position, entry, leaf hash as sealed) from `first` to `last`, of the log as it is at `size`. One bundle of
        at most 256 entries is held at a time."""
        if first > last:
            return
        for number in range((first - 1) // BUNDLE_WIDTH, (last - 1) // BUNDLE_WIDTH + 1):
            begin = number * BUNDLE_WIDTH
            width = min(BUNDLE_WIDTH, size - begin)
            at = address(number, width)
            hashes = self._raw(f"tile/0/{at}")
            entries = unbundled(self._raw(f"tile/entries/{at}"))
            for index, entry in enumerate(entries):
                position = begin + index + 1
                if first <= position <= last:
                    yield position, entry, hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def _hashes(self, path: str, params: Mapping[str, Any]) -> list[bytes]:
        return self._asked(path, params, lambda found: [_hash(one) for one in found["hashes"]])

    def _asked(self, path: str, params: Mapping[str, Any], decode: Callable[[Any], T]) -> T:
        return self._client.send(Call("GET", f"{self._path}/{path}", decode, params, repeatable=True))

    def _raw(self, path: str, params: Mapping[str, Any] | None = None) -> bytes:
        return self._client.send(Call("GET", f"{self._path}/{path}", bytes, params or {}, repeatable=True, raw=True))


def address(number: int, width: int) -> str:
    """C2SP tlog-tiles: groups of three digits, and the width of a tile that is not full."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == BUNDLE_WIDTH else f".p/{width}")


def unbundled(content: bytes) -> list[bytes]:
    """The entries of a bundle, each after its length in two bytes. Raises Broken for one that is cut off."""
    found, at = [], 0
    while at < len(content):
        end = at + 2
        if end <= len(content):
            end += struct.unpack_from(">H", content, at)[0]
        if end > len(content):
            raise Broken("tile_truncated", "a bundle of entries is cut off")
        found.append(content[at + 2 : end])
        at = end
    return found


def _hash(text: str) -> bytes:
    return from_base64(text, "proof_malformed")
