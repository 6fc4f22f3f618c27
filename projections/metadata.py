"""Metadata of entities: the newest value of each key, and every number that was ever logged as a point of a series."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from ledger.events.metadata import KIND, MetadataLogged
from ledger.values import derived_id
from projections.table import ANY_OWNER, Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

METADATA = Table(
    name="metadata",
    kind=KIND,
    own=(
        Column("key", "text", indexed=True, immutable=True),
        Column("value", "json"),
        Column("resource_kind", "text", immutable=True),
        Column("resource_id", "uuid", indexed=True, immutable=True, owner=ANY_OWNER),
        Column("step", "text", immutable=True),
        Column("step_index", "int"),
    ),
)
METRIC_POINTS = Table(
    name="metric_points",
    kind="metric_point",
    append_only=True,
    own=(
        Column("key", "text", indexed=True),
        Column("value", "float"),
        Column("resource_kind", "text"),
        Column("resource_id", "uuid", indexed=True),
        Column("step", "text"),
        Column("step_index", "int"),
    ),
)
TABLES = (METADATA, METRIC_POINTS)


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    event = cast("MetadataLogged", recorded.event)
    for key in event.values:
        yield "metadata", _row_id(event, key)


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    event = cast("MetadataLogged", recorded.event)
    for key, value in event.values.items():
        fixed = {
            "key": key,
            "resource_kind": event.resource_kind,
            "resource_id": event.resource_id,
            "step": event.step,
        }
        rows.put("metadata", _row_id(event, key), fixed=fixed, value=value, step_index=event.step_index)
        number = _number(value)
        if number is not None:
            point = derived_id("metric_point", recorded.event_id, key)
            rows.insert("metric_points", point, value=number, step_index=event.step_index, **fixed)


def _row_id(event: MetadataLogged, key: str) -> UUID:
    return derived_id("metadata", event.resource_id, event.step, key)


def _number(value: Any) -> float | None:
    """The value as a point of a series; None for what is no number, or is beyond a double."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
