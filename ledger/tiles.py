"""The tree's hashes in C2SP tlog-tiles form: tiles of 256 hashes, eight levels of the tree apart.

A tile only ever grows at its end and never changes once it is full. Every node of the tree can be computed from one
tile; nothing else of the tree is stored.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from ledger.merkle import HASH_BYTES, Node, frontier_nodes, grow, root, unpack
from ledger.proof_errors import TileTruncated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEIGHT = 8
WIDTH = 1 << HEIGHT
LEVELS_MAX = 8
"""Tiles of eight levels hold 2^64 leaves."""

_ADDRESS = re.compile(r"(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?", re.ASCII)


class Tile(NamedTuple):
    """Which tile: `level` counts tiles upwards from the leaves, `number` from the left."""

    level: int
    number: int


def tile_of(node: Node) -> Tile:
    """The tile that a node can be computed from."""
    return Tile(node.level // HEIGHT, (node.number << node.level % HEIGHT) >> HEIGHT)


def width_at(tile: Tile, size: int) -> int:
    """How many hashes the tile has in a tree of `size` leaves."""
    return max(0, min(WIDTH, (size >> HEIGHT * tile.level) - tile.number * WIDTH))


def node_in(node: Node, stored: bytes) -> bytes:
    """The node's hash from its tile. Raises TileTruncated when the tile is too short for it."""
    height = node.level % HEIGHT
    first = (node.number << height) % WIDTH
    end = first + (1 << height)
    if len(stored) < end * HASH_BYTES:
        raise TileTruncated(*tile_of(node), width=len(stored) // HASH_BYTES, needed=end)
    return fold(unpack(stored[first * HASH_BYTES : end * HASH_BYTES]))


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbouring nodes of one level."""
    frontier: list[bytes] = []
    for size, node in enumerate(hashes):
        grow(frontier, size, node)
    return root(frontier)


def tiles_of(nodes: Iterable[Node]) -> list[Tile]:
    """Every tile that has to be read for these nodes, each once."""
    return sorted({tile_of(node) for node in nodes})


def nodes_in(nodes: Iterable[Node], tiles: Mapping[Tile, bytes]) -> dict[Node, bytes]:
    """The hashes of nodes from their tiles. Raises TileTruncated, also for a tile that is absent."""
    return {node: node_in(node, tiles.get(tile_of(node), b"")) for node in nodes}


def edge_tiles(size: int) -> list[Tile]:
    """The tiles that are not full in a tree of `size` leaves: what the frontier and every further leaf need."""
    return [
        Tile(level, size >> HEIGHT * (level + 1)) for level in range(LEVELS_MAX) if (size >> HEIGHT * level) % WIDTH
    ]


class Edge:
    """The right edge of a tree while leaves are added: the tiles that are not full, and those that became so.

    `changed` gathers every tile that differs from what is stored; `take` empties it, so that a long catch-up needs
    no more memory than a batch.
    """

    def __init__(self, size: int, tiles: Mapping[Tile, bytes]) -> None:
        self.size = size
        self.changed: dict[Tile, bytes] = {}
        self._open: list[bytearray] = []
        for level in range(LEVELS_MAX):
            tile = Tile(level, size >> HEIGHT * (level + 1))
            width = (size >> HEIGHT * level) % WIDTH
            stored = tiles.get(tile, b"")
            if len(stored) < width * HASH_BYTES:
                raise TileTruncated(*tile, width=len(stored) // HASH_BYTES, needed=width)
            self._open.append(bytearray(stored[: width * HASH_BYTES]))

    @property
    def frontier(self) -> list[bytes]:
        """The frontier of the tree as it stands."""
        return [node_in(node, bytes(self._open[node.level // HEIGHT])) for node in frontier_nodes(self.size)]

    def add(self, leaves: Iterable[bytes]) -> None:
        """Adds leaves at the end."""
        for leaf in leaves:
            self._put(0, leaf)
            self.size += 1

    def take(self) -> dict[Tile, bytes]:
        """The tiles that changed since the last call."""
        for level, hashes in enumerate(self._open):
            if hashes:
                self.changed[Tile(level, self.size >> HEIGHT * (level + 1))] = bytes(hashes)
        changed, self.changed = self.changed, {}
        return changed

    def _put(self, level: int, node: bytes) -> None:
        hashes = self._open[level]
        hashes += node
        if len(hashes) == WIDTH * HASH_BYTES:
            full = bytes(hashes)
            self.changed[Tile(level, self.size >> HEIGHT * (level + 1))] = full
            hashes.clear()
            self._put(level + 1, fold(unpack(full)))


def address(number: int, *, width: int = WIDTH) -> str:
    """A tile's address below its level: groups of three digits, `x001/x234/067`, and `.p/<W>` when it is partial."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == WIDTH else f".p/{width}")


def parse_address(text: str) -> tuple[int, int] | None:
    """The number and width of an address, or None when it is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    number, width = int(re.sub(r"[x/]", "", found["number"])), int(found["width"] or WIDTH)
    return (number, width) if address(number, width=width) == text else None


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries in a row, each with its length in two bytes before it."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)
