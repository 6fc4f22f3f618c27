"""What is different between two versions of a row, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.table import TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.table import Table

EMPTY: tuple[Any, ...] = (None, "", [], {})


def field_changes(table: Table, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entity's own fields that differ; of a new one those that hold something. Absent columns did not change."""
    columns = (*table.own, TAGS) if table.taggable else table.own
    changes = []
    for column in columns:
        if column.name not in after:
            continue
        new = after[column.name]
        old = before.get(column.name) if before is not None else None
        if new != old and not (before is None and new in EMPTY):
            changes.append({"field": column.name, "from": old, "to": new})
    return changes
