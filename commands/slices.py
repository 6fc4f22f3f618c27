"""Long lists cut into slices that fit into events, by count and by size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from ledger.codec import EVENT_DATA_BYTES_MAX

STEPS_PER_EVENT_MAX = 50
SLICE_BYTES_MAX = EVENT_DATA_BYTES_MAX - 1_000
"""Leaves room for what surrounds the list in its event."""

S = TypeVar("S", bound=msgspec.Struct)


def in_slices(items: Iterable[S]) -> list[tuple[S, ...]]:
    """The items in order. One item that is too large for any event stays alone: the ledger refuses it by name."""
    slices: list[tuple[S, ...]] = []
    current: list[S] = []
    size_bytes = 0
    for item in items:
        item_bytes = len(msgspec.json.encode(item)) + len(",")
        if current and (len(current) == STEPS_PER_EVENT_MAX or size_bytes + item_bytes > SLICE_BYTES_MAX):
            slices.append(tuple(current))
            current, size_bytes = [], 0
        current.append(item)
        size_bytes += item_bytes
    return [*slices, tuple(current)] if current else slices
