"""The Merkle tree against the known roots of the eight test inputs that Certificate Transparency logs share."""

from __future__ import annotations

import pytest

from ledger import merkle

ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_of_the_shared_test_inputs() -> None:
    frontier: list[bytes] = []
    roots = [merkle.root(frontier).hex()]
    for size, entry in enumerate(ENTRIES):
        merkle.grow(frontier, size, merkle.leaf_hash(bytes.fromhex(entry)))
        roots.append(merkle.root(frontier).hex())
    assert roots == ROOTS


def test_the_frontier_has_one_hash_per_set_bit() -> None:
    frontier: list[bytes] = []
    for size in range(200):
        merkle.grow(frontier, size, merkle.leaf_hash(bytes([size])))
        assert len(frontier) == (size + 1).bit_count()
        assert merkle.unpack(merkle.pack(frontier)) == frontier


LEAVES = [merkle.leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]

# (leaf, size) and the audit path, as the Certificate Transparency reference tests give them (leaves counted from 1).
AUDIT_PATHS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        2,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

CONSISTENCY_PROOFS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


class Hashes(dict[merkle.Node, bytes]):
    """Every node of the tree over LEAVES."""

    def __missing__(self, node: merkle.Node) -> bytes:
        return merkle.root_of(LEAVES[node.number << node.level : (node.number + 1) << node.level])


@pytest.mark.parametrize(("number", "size", "expected"), AUDIT_PATHS)
def test_audit_paths_of_the_shared_test_inputs(number: int, size: int, expected: list[str]) -> None:
    proof = merkle.hashes_of(merkle.inclusion_spans(number - 1, size), Hashes())
    assert [sibling.hex() for sibling in proof] == expected
    root = bytes.fromhex(ROOTS[size])
    assert merkle.verify_inclusion(LEAVES[number - 1], number - 1, size=size, proof=proof, root_hash=root)


@pytest.mark.parametrize(("old_size", "size", "expected"), CONSISTENCY_PROOFS)
def test_consistency_proofs_of_the_shared_test_inputs(old_size: int, size: int, expected: list[str]) -> None:
    proof = merkle.hashes_of(merkle.consistency_spans(old_size, size), Hashes())
    assert [sibling.hex() for sibling in proof] == expected
    old_root, root = bytes.fromhex(ROOTS[old_size]), bytes.fromhex(ROOTS[size])
    assert merkle.verify_consistency(old_size, size, proof=proof, old_root=old_root, root_hash=root)


def test_proofs_that_cannot_be_are_refused() -> None:
    root = bytes.fromhex(ROOTS[8])
    proof = merkle.hashes_of(merkle.inclusion_spans(2, 8), Hashes())
    wrong = [
        (LEAVES[2], 2, 8, [], root),
        (LEAVES[2], 3, 8, proof, root),
        (LEAVES[3], 2, 8, proof, root),
        (LEAVES[2], 2, 4, proof, root),
        (LEAVES[2], 2, 8, [*proof, proof[0]], root),
        (LEAVES[2], 2, 8, [proof[0], proof[1][:31], proof[2]], root),
        (LEAVES[2], 2, 8, proof, bytes.fromhex(ROOTS[7])),
        (LEAVES[2], 9, 8, proof, root),
        (LEAVES[2], -1, 8, proof, root),
        (LEAVES[0], 0, 1, [proof[0]] * 65, root),
    ]
    for leaf, index, size, path, root_hash in wrong:
        assert not merkle.verify_inclusion(leaf, index, size=size, proof=path, root_hash=root_hash)


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="no leaf 8"):
        merkle.inclusion_spans(8, 8)
    with pytest.raises(ValueError, match="does not extend"):
        merkle.consistency_spans(9, 8)
