"""Two runs side by side: parameters, metadata, and for each step its status, duration and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Row = dict[str, Any]
PLAIN_FIELDS = ("pipeline", "status", "stack", "snapshot_id", "duration_seconds")
STEP_FIELDS = ("status", "attempt", "duration_seconds", "outputs")


class Side(NamedTuple):
    """What of one run is compared."""

    run: Row
    steps: list[Row]
    metadata: list[Row]


def compare(first: Side, second: Side) -> list[Row]:
    """A row per field that either run has: section, field, a, b, differs."""
    left, right = dict(fields(first)), dict(fields(second))
    keys = [*left, *(key for key in right if key not in left)]
    keys.sort(key=lambda key: SECTIONS.index(key[0]))
    return [
        {
            "section": section,
            "field": field,
            "a": left.get((section, field)),
            "b": right.get((section, field)),
            "differs": left.get((section, field)) != right.get((section, field)),
        }
        for section, field in keys
    ]


SECTIONS = ("run", "parameter", "metadata", "step")


def fields(side: Side) -> Iterator[tuple[tuple[str, str], Any]]:
    """Every (section, field) of one run with its value."""
    for name in PLAIN_FIELDS:
        yield ("run", name), side.run.get(name)
    for name, value in sorted(flat(side.run.get("parameters") or {})):
        yield ("parameter", name), value
    for entry in sorted(side.metadata, key=lambda entry: (entry.get("step") or "", entry["key"])):
        name = f"{entry['step']}.{entry['key']}" if entry.get("step") else entry["key"]
        yield ("metadata", name), entry["value"]
    for step in side.steps:
        for name in STEP_FIELDS:
            yield ("step", f"{step['name']}.{name}"), step.get(name)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
