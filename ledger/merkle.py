"""The Merkle tree over a workspace's events (RFC 6962, section 2.1), kept as its frontier.

The frontier is the list of perfect subtrees' roots, largest first: with n leaves it has one hash per set bit of n.
"""

from __future__ import annotations

from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962: SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def grow(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Adds leaf number `size` (from 0) to the frontier of a tree with `size` leaves, in place."""
    while size & 1:
        leaf = node_hash(frontier.pop(), leaf)
        size >>= 1
    frontier.append(leaf)


def root(frontier: list[bytes]) -> bytes:
    """The root hash of the tree with this frontier."""
    if not frontier:
        return EMPTY_ROOT
    result = frontier[-1]
    for left in reversed(frontier[:-1]):
        result = node_hash(left, result)
    return result


def pack(frontier: list[bytes]) -> bytes:
    """The frontier as it is stored in the head row."""
    return b"".join(frontier)


def unpack(stored: bytes) -> list[bytes]:
    """The inverse of `pack`."""
    return [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]
