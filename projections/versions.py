"""Which tables follow from which projections, and by which version of the program a table was made.

A table's version names all that its rows depend on. So what a changed projection makes outdated, and what has to be
folded to make a table anew, follow from the declarations: no list of groups is kept by hand.
"""

from __future__ import annotations

import hashlib
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from ledger.events.registry import aggregates
from ledger.events.tagging import KIND as TAGGING
from projections import events as event_index
from projections.errors import UnknownProjection
from projections.registry import projection, table, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENGINE_VERSION = 2
"""Counts changes of what the engine adds to every table; a greater number rebuilds all of them."""

ENGINE = "engine"
EVENTS = event_index.TABLE.name


@cache
def writes(kind: str) -> frozenset[str]:
    """The tables that the projection of a kind changes: its own, those its columns load, and whatever shows tags."""
    own = projection(kind).TABLES
    loaded = {column.loads for declared in own for column in declared.own if column.loads}
    tagged = {name for name, declared in tables().items() if declared.taggable} if kind == TAGGING else set()
    return frozenset({declared.name for declared in own} | loaded | tagged)


@cache
def _reads(kind: str) -> frozenset[str]:
    """The tables that the projection of a kind looks at: its own, and those that its columns name."""
    own = projection(kind).TABLES
    others = {name for declared in own for column in declared.own for name in (column.loads, column.reads) if name}
    return frozenset({declared.name for declared in own} | others)


def closure(names: Iterable[str]) -> frozenset[str]:
    """These tables and all that must be folded with them: what their writers look at, and so on."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found |= waiting
        writers = {kind for name in waiting for kind in _writers(name)}
        waiting = {name for kind in writers for name in _reads(kind)} - found
    return frozenset(found)


@cache
def numbers(name: str) -> Mapping[str, int]:
    """The VERSION of everything that the rows of a table depend on."""
    kinds = sorted({kind for each in closure([name]) for kind in _writers(each)})
    depends = {ENGINE: ENGINE_VERSION, **{kind: projection(kind).VERSION for kind in kinds}}
    if name == EVENTS:
        depends[EVENTS] = event_index.VERSION
    return MappingProxyType(depends)


@cache
def program() -> Mapping[str, int]:
    """Every VERSION of this program: what tells an older program from a newer one."""
    return MappingProxyType({kind: number for name in tables() for kind, number in numbers(name).items()})


@cache
def shape(name: str) -> str:
    """What a query relies on: another program's table of the same shape can be read."""
    declared = table(name)
    return _hash((ENGINE_VERSION, declared.append_only, [(column.name, column.type) for column in declared.columns]))


@cache
def table_version(name: str) -> str:
    """`<shape>.<content>` of a table as this program makes it."""
    declarations = [(kind, projection(kind).TABLES) for kind in numbers(name) if kind in aggregates()]
    return f"{shape(name)}.{_hash((table(name), sorted(numbers(name).items()), declarations))}"


@cache
def digest() -> str:
    """Names what all tables hold."""
    return hashlib.sha256(repr(sorted((name, table_version(name)) for name in tables())).encode()).hexdigest()


@cache
def made_by(projection_name: str) -> frozenset[str]:
    """The tables to rebuild for a projection, given as a kind (`run`) or as one of its tables (`steps`): all that
    depend on it. Raises UnknownProjection."""
    if projection_name == EVENTS:
        return frozenset({EVENTS})
    for kind in aggregates():
        if projection_name == kind or projection_name in {declared.name for declared in projection(kind).TABLES}:
            return frozenset(name for name in tables() if kind in numbers(name))
    raise UnknownProjection(projection_name, [*aggregates(), *tables()])


@cache
def _writers(name: str) -> frozenset[str]:
    return frozenset(kind for kind in aggregates() if name in writes(kind))


def _hash(described: object) -> str:
    return hashlib.sha256(repr(described).encode()).hexdigest()[:16]
