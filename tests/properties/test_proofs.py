"""Proofs and tiles against a naive tree: every proof verifies, and nothing else does."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle, tiles
from ledger.merkle import HASH_BYTES, Node

LEAVES = [sha256(number.to_bytes(4, "big")).digest() for number in range(700)]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


class NaiveHashes(dict[Node, bytes]):
    def __missing__(self, node: Node) -> bytes:
        return naive_root(LEAVES[node.number << node.level : (node.number + 1) << node.level])


@st.composite
def leaf_and_size(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, len(LEAVES)))
    return draw(st.integers(0, size - 1)), size


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(0, len(LEAVES)))
    return draw(st.integers(0, size)), size


def flipped(proof: list[bytes], at: int) -> list[bytes]:
    """The proof with one bit changed."""
    at %= len(proof) * HASH_BYTES
    changed = bytearray(proof[at // HASH_BYTES])
    changed[at % HASH_BYTES] ^= 1
    return [*proof[: at // HASH_BYTES], bytes(changed), *proof[at // HASH_BYTES + 1 :]]


@given(leaf_and_size(), st.integers(0))
def test_inclusion(where: tuple[int, int], flip: int) -> None:
    index, size = where
    root = naive_root(LEAVES[:size])
    proof = merkle.hashes_of(merkle.inclusion_spans(index, size), NaiveHashes())
    assert merkle.verify_inclusion(LEAVES[index], index, size=size, proof=proof, root_hash=root)
    assert not merkle.verify_inclusion(LEAVES[index - 1], index, size=size, proof=proof, root_hash=root) or size == 1
    if proof:
        assert not merkle.verify_inclusion(LEAVES[index], index, size=size, proof=flipped(proof, flip), root_hash=root)
        assert not merkle.verify_inclusion(LEAVES[index], index, size=size, proof=proof[:-1], root_hash=root)


@given(sizes(), st.integers(0))
def test_consistency(where: tuple[int, int], flip: int) -> None:
    old_size, size = where
    old_root, root = naive_root(LEAVES[:old_size]), naive_root(LEAVES[:size])
    proof = merkle.hashes_of(merkle.consistency_spans(old_size, size), NaiveHashes())
    assert merkle.verify_consistency(old_size, size, proof=proof, old_root=old_root, root_hash=root)
    forked = naive_root([*LEAVES[:old_size][:-1], LEAVES[-1]])
    if old_size and forked != old_root:
        assert not merkle.verify_consistency(old_size, size, proof=proof, old_root=forked, root_hash=root)
    if proof:
        assert not merkle.verify_consistency(
            old_size, size, proof=flipped(proof, flip), old_root=old_root, root_hash=root
        )


@given(st.lists(st.integers(0, 300), max_size=5))
def test_tiles_grown_in_any_steps_hold_the_whole_tree(steps: list[int]) -> None:
    stored: dict[tiles.Tile, bytes] = {}
    size = 0
    for step in steps:
        added = min(step, len(LEAVES) - size)
        edge = tiles.Edge(size, {tile: stored[tile] for tile in tiles.edge_tiles(size)})
        edge.add(LEAVES[size : size + added])
        changed = edge.take()
        for tile, hashes in changed.items():
            assert hashes.startswith(stored.get(tile, b""))
        stored |= changed
        size += added
        assert merkle.root(edge.frontier) == naive_root(LEAVES[:size])
    for tile, hashes in stored.items():
        assert len(hashes) == tiles.width_at(tile, size) * HASH_BYTES
    for index in range(0, size, 37):
        spans = merkle.inclusion_spans(index, size)
        nodes = merkle.nodes_of(spans)
        found = tiles.nodes_in(nodes, {tile: stored[tile] for tile in tiles.tiles_of(nodes)})
        assert merkle.hashes_of(spans, found) == merkle.hashes_of(spans, NaiveHashes())


@given(st.integers(0, 10**18 - 1), st.integers(1, 256))
def test_addresses_of_tiles(number: int, width: int) -> None:
    assert tiles.parse_address(tiles.address(number, width=width)) == (number, width)
