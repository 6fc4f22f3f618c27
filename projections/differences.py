"""The difference of a workspace between two moments: which entities came, changed and went, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from projections.changes import field_changes
from projections.filters import Parameters
from projections.pages import decode_cursor, encode_cursor
from projections.registry import table_of, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.moments import Moment
    from projections.reading import Reading
    from projections.table import Row, Table

_START = ("", UUID(int=0))


async def diff(
    reading: Reading,
    workspace_id: UUID,
    *,
    start: Moment,
    end: Moment,
    kind: str | None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Looks at the next `limit` entities, in the order of table and id, that had any change in between.

    Those that are at the end what they were at the start are left out, so a page may hold fewer.
    """
    asked = [table_of(kind)] if kind is not None else sorted(tables().values(), key=lambda declared: declared.name)
    last = decode_cursor(cursor, type_=tuple[str, UUID]) if cursor is not None else _START
    items: list[dict[str, Any]] = []
    following: str | None = None
    remaining = limit
    for declared in asked:
        if declared.append_only or declared.name < last[0]:
            continue
        after = last[1] if declared.name == last[0] else None
        ids = await _touched(reading, workspace_id, declared, start=start, end=end, after=after, limit=remaining + 1)
        items += await _compare(reading, workspace_id, declared, ids=ids[:remaining], start=start, end=end)
        if len(ids) > remaining:
            following = encode_cursor((declared.name, ids[remaining - 1]) if remaining else last)
            break
        if ids:
            last = (declared.name, ids[-1])
            remaining -= len(ids)
    return {"items": items, "next": following, "from": start.shown(), "to": end.shown()}


async def _touched(
    reading: Reading,
    workspace_id: UUID,
    declared: Table,
    *,
    start: Moment,
    end: Moment,
    after: UUID | None,
    limit: int,
) -> list[UUID]:
    """Ids with a version that began after the start and up to the end."""
    if end.head == 0:
        return []
    schema, parameters = reading.moments.schema_of(workspace_id), Parameters()
    where = (
        f"workspace_id = {parameters.add(workspace_id)} AND from_position > {parameters.add(start.position)}::bigint"
        f" AND from_position <= {parameters.add(end.position)}::bigint"
    )
    if after is not None:
        where += f" AND id > {parameters.add(after)}"
    rows = await reading.rows(
        f"SELECT id FROM {schema}.{declared.name} WHERE {where}"
        f" UNION SELECT id FROM {schema}.{declared.history} WHERE {where} ORDER BY id LIMIT {limit}",
        parameters,
    )
    return [row["id"] for row in rows]


async def _compare(
    reading: Reading, workspace_id: UUID, declared: Table, *, ids: Sequence[UUID], start: Moment, end: Moment
) -> list[dict[str, Any]]:
    if not ids:
        return []
    before = await reading.versions(workspace_id, declared, ids=ids, moment=start)
    after = await reading.versions(workspace_id, declared, ids=ids, moment=end)
    compared = (_difference(declared, id_, before.get(id_), after.get(id_)) for id_ in ids)
    return [difference for difference in compared if difference is not None]


def _difference(declared: Table, id_: UUID, before: Row | None, after: Row | None) -> dict[str, Any] | None:
    """A deleted entity counts as one that is not there."""
    was = before if before is not None and not before["deleted"] else None
    row = after if after is not None and not after["deleted"] else None
    changes: list[dict[str, Any]] = []
    if row is not None:
        changes = field_changes(declared, was, row)
        change = "changed" if was is not None else "created"
        if was is not None and not changes:
            return None
    elif was is not None:
        change = "deleted"
    else:
        return None
    name = (row or was or {}).get("name")
    return {"kind": declared.kind, "id": id_, "name": name, "change": change, "changes": changes}
