"""Other versions of the program: the same projections, but told that they are newer, or declared otherwise."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from projections import registry, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.table import Table

CACHED = (
    registry.tables,
    registry.entity_table,
    registry.table_of,
    versions.writes,
    versions.numbers,
    versions.program,
    versions.shape,
    versions.table_version,
    versions.digest,
    versions.made_by,
)
"""What a program works out once from its declarations."""


@contextmanager
def program(*, tables: dict[str, tuple[Table, ...]] | None = None, **numbers: int) -> Iterator[None]:
    """Until the end, this process is a program with these VERSIONs of projections, by kind, and these TABLES."""
    with pytest.MonkeyPatch.context() as patch:
        for kind, number in numbers.items():
            patch.setattr(registry.projection(kind), "VERSION", number)
        for kind, declared in (tables or {}).items():
            patch.setattr(registry.projection(kind), "TABLES", declared)
        _forget()
        yield
    _forget()


def _forget() -> None:
    for cached in CACHED:
        cached.cache_clear()
    for cached in (versions._reads, versions._writers):
        cached.cache_clear()
