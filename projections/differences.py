"""The difference of a workspace between two moments: which entities came, changed and went, and how.

It is read page by page in the order of tables and, within each, of the last change: a page costs what it holds, however
long the difference is, and what is read between two pages is nobody's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from projections.changes import field_changes
from projections.errors import InvalidCursor
from projections.filters import Parameters
from projections.pages import StoredPosition, decode_cursor, encode_cursor
from projections.registry import table_of, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.values import Position
    from projections.moments import Moment
    from projections.reading import Reading
    from projections.table import Row, Table


LAST_ID = UUID(int=2**128 - 1)


class Place(NamedTuple):
    """What a cursor says: between which positions, and after which change of which table to go on."""

    start: Position
    end: Position
    table: str = ""
    position: Position = 0
    id: UUID = LAST_ID


def place_of(cursor: str) -> Place:
    """Raises InvalidCursor."""
    place = Place(*decode_cursor(cursor, type_=tuple[StoredPosition, StoredPosition, str, StoredPosition, UUID]))
    if place.table not in tables():
        raise InvalidCursor
    return place


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
    """Looks at the next `limit` entities that had any change in between.

    Those that are at the end what they were at the start are left out, so a page may hold fewer. Raises InvalidCursor
    for one of other moments.
    """
    place = place_of(cursor) if cursor is not None else Place(start.position, end.position)
    if (place.start, place.end) != (start.position, end.position):
        raise InvalidCursor
    asked = [table_of(kind)] if kind is not None else sorted(tables().values(), key=lambda declared: declared.name)
    items: list[dict[str, Any]] = []
    following: str | None = None
    remaining = limit
    for declared in asked:
        if declared.append_only or declared.name < place.table:
            continue
        after = place if declared.name == place.table else place._replace(position=start.position, id=LAST_ID)
        touched = await _touched(reading, workspace_id, declared, after=after, limit=remaining + 1)
        taken = touched[:remaining]
        ids = [row["id"] for row in taken]
        items += await _compare(reading, workspace_id, declared, ids=ids, start=start, end=end)
        if taken:
            place = Place(*place[:2], declared.name, taken[-1]["from_position"], ids[-1])
            remaining -= len(taken)
        if len(touched) > len(taken):
            following = encode_cursor(place)
            break
    return {"items": items, "next": following, "from": start.shown(), "to": end.shown()}


async def _touched(reading: Reading, workspace_id: UUID, declared: Table, *, after: Place, limit: int) -> list[Row]:
    """Entities whose version at the end began after the start, in the order in which it began."""
    if after.end == 0:
        return []
    schema, parameters = reading.moments.schema_of(workspace_id), Parameters()
    end = f"{parameters.add(after.end)}::bigint"
    where = (
        f"workspace_id = {parameters.add(workspace_id)}"
        f" AND (from_position, id) > ({parameters.add(after.position)}::bigint, {parameters.add(after.id)}::uuid)"
        f" AND from_position <= {end}"
    )
    order = f"ORDER BY from_position, id LIMIT {limit}"
    return await reading.rows(
        f"(SELECT from_position, id FROM {schema}.{declared.name} WHERE {where} {order})"
        f" UNION ALL (SELECT from_position, id FROM {schema}.{declared.history}"
        f" WHERE {where} AND to_position > {end} {order}) {order}",
        parameters,
    )


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
