"""Every projection and query table there is.

The kinds come from the ledger's vocabulary: `ledger/events/stack.py` is projected by `projections/stacks.py`. The
first of a projection's TABLES holds the entity itself.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from ledger.events.registry import aggregates
from projections import events as event_index
from projections.errors import UnknownTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows
    from projections.table import Table

UNCOUNTABLE = frozenset({"metadata"})
"""Kinds whose plural is the word itself."""


class Projection(Protocol):
    """A module of this folder that turns the events of one kind of stream into rows.

    `touches` names rows that `apply` looks at besides the stream's own and those that a column `loads`. `apply` is
    pure: the same rows and event always give the same rows. A greater VERSION rebuilds what it writes (`versions.py`).
    """

    KIND: str
    VERSION: int
    TABLES: tuple[Table, ...]

    def touches(self, recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]: ...

    def apply(self, rows: Rows, recorded: RecordedEvent) -> None: ...


def plural(kind: str) -> str:
    """The name of a kind's projection module."""
    if kind in UNCOUNTABLE:
        return kind
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


@cache
def projection(kind: str) -> Projection:
    """The projection of one kind of stream."""
    module = cast("Projection", import_module(f"projections.{plural(kind)}"))
    if kind != module.KIND:
        raise TypeError(f"projections/{plural(kind)}.py projects {module.KIND!r}")
    return module


@cache
def entity_table(kind: str) -> Table:
    """The table that holds the entities of one kind of stream."""
    return projection(kind).TABLES[0]


@cache
def tables() -> Mapping[str, Table]:
    """Every query table by name."""
    declared = [table for kind in aggregates() for table in projection(kind).TABLES]
    return MappingProxyType({table.name: table for table in (*declared, event_index.TABLE)})


def table(name: str) -> Table:
    """Raises UnknownTable."""
    try:
        return tables()[name]
    except KeyError:
        raise UnknownTable(name, tables()) from None


@cache
def table_of(kind: str) -> Table:
    """The table of a kind of entity, also of one without a stream of its own, such as a step."""
    for declared in tables().values():
        if declared.kind == kind:
            return declared
    raise UnknownTable(kind, (declared.kind for declared in tables().values()))
