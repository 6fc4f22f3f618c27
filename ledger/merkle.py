"""The Merkle tree over a log's entries (RFC 6962 section 2.1, RFC 9162 section 2.1): its frontier, roots and proofs.

The frontier is the list of perfect subtrees' roots, largest first: with n leaves it has one hash per set bit of n.
Everything here is pure. A proof is planned as spans of leaves, the spans name the nodes whose hashes are needed, and
whoever stores hashes (tiles) reads them all at once. Leaves are counted from 0: position p is leaf p - 1.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
PROOF_HASHES_MAX = 64
"""No proof in a tree of at most 2^63 leaves is longer; what is longer is refused before it is looked at."""


class Node(NamedTuple):
    """The root of the perfect subtree over the leaves [number << level, (number + 1) << level)."""

    level: int
    number: int


class Span(NamedTuple):
    """The leaves [first, end) of a subtree: `first` is a multiple of a power of two that is not below the size."""

    first: int
    end: int


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


def root(frontier: Sequence[bytes]) -> bytes:
    """The root hash of the tree with this frontier."""
    if not frontier:
        return EMPTY_ROOT
    result = frontier[-1]
    for left in reversed(frontier[:-1]):
        result = node_hash(left, result)
    return result


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root hash over these leaf hashes; needs no more memory than a frontier."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        grow(frontier, size, leaf)
    return root(frontier)


def pack(hashes: Iterable[bytes]) -> bytes:
    """Hashes as they are stored: a frontier in the head row, a tile's hashes in its row."""
    return b"".join(hashes)


def unpack(stored: bytes) -> list[bytes]:
    """The inverse of `pack`."""
    return [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]


def frontier_nodes(size: int) -> list[Node]:
    """The nodes whose hashes are the frontier of a tree with `size` leaves."""
    return span_nodes(Span(0, size))


def span_nodes(span: Span) -> list[Node]:
    """The perfect subtrees that make up a span, left to right, largest first."""
    nodes = []
    first, remaining = span
    remaining -= first
    while remaining:
        level = remaining.bit_length() - 1
        nodes.append(Node(level, first >> level))
        first += 1 << level
        remaining -= 1 << level
    return nodes


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose hashes prove leaf `index` in a tree of `size` leaves, leaf to root (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    spans = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old_size: int, size: int) -> list[Span]:
    """The spans whose hashes prove that the tree of `size` leaves extends that of `old_size` (RFC 9162, 2.1.4.1)."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves does not extend one of {old_size}")
    if old_size in {0, size}:
        return []
    spans = []
    first, end = 0, size
    while old_size != end:
        middle = first + _split(end - first)
        if old_size <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(first, middle))
            first = middle
    if first:
        spans.append(Span(first, end))
    return spans[::-1]


def nodes_of(spans: Iterable[Span]) -> list[Node]:
    """Every node that has to be read for these spans."""
    return [node for span in spans for node in span_nodes(span)]


def hashes_of(spans: Iterable[Span], nodes: Mapping[Node, bytes]) -> list[bytes]:
    """The proof: one hash per span, from the hashes of `nodes_of` the same spans."""
    return [root([nodes[node] for node in span_nodes(span)]) for span in spans]


def verify_inclusion(leaf: bytes, index: int, *, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether the proof shows that `leaf` is leaf `index` of the tree of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _is_proof(proof):
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            node, last = _up_to_right_child(node, last)
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root_hash


def verify_consistency(old_size: int, size: int, *, proof: Sequence[bytes], old_root: bytes, root_hash: bytes) -> bool:
    """Whether the proof shows that the tree of `size` leaves extends that of `old_size` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old_size <= size or not _is_proof(proof):
        return False
    if old_size == size:
        return not proof and old_root == root_hash
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
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
            node, last = _up_to_right_child(node, last)
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_result == old_root and result == root_hash


def _up_to_right_child(node: int, last: int) -> tuple[int, int]:
    """Skips the levels on which a node at the right edge has no sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _is_proof(proof: Sequence[bytes]) -> bool:
    return len(proof) <= PROOF_HASHES_MAX and all(len(sibling) == HASH_BYTES for sibling in proof)


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
