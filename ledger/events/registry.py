"""Every aggregate and event type there is. The folder is the list: a file here is an aggregate, nothing else is."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.envelope import Event

NOT_AGGREGATES = frozenset({"__init__", "registry"})


@cache
def aggregates() -> tuple[str, ...]:
    """The kinds of entity, in alphabetical order; other rooms have a file of the same name for each."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(file.stem for file in files if file.stem not in NOT_AGGREGATES))


def aggregate_module(kind: str) -> ModuleType:
    """The vocabulary file of one aggregate."""
    return import_module(f"ledger.events.{kind}")


@cache
def event_types() -> Mapping[str, type[Event]]:
    """Every event class by its type name; two classes with one name are a programming error."""
    found: dict[str, type[Event]] = {}
    for kind in aggregates():
        for event in aggregate_module(kind).EVENTS:
            if event.type in found:
                raise TypeError(f"event type {event.type!r} is defined twice")
            found[event.type] = event
    return MappingProxyType(found)


@cache
def parent_of(kind: str) -> str | None:
    """The kind that names this one's entities (`churn@3` is version 3 of the model churn), or None."""
    return getattr(aggregate_module(kind), "PARENT", None)
