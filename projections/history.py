"""The history of one entity: its versions as a list of changes, each with who caused it by which event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.changes import field_changes
from projections.filters import Parameters
from projections.pages import decode_cursor, encode_cursor
from projections.storage import names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from ledger.values import Position
    from projections.moments import Moment
    from projections.reading import Reading
    from projections.table import Row, Table


async def history(
    reading: Reading,
    workspace_id: UUID,
    declared: Table,
    *,
    id_: UUID,
    moment: Moment,
    limit: int,
    cursor: str | None,
) -> dict[str, Any] | None:
    """None if there never was such an entity up to the moment."""
    before = decode_cursor(cursor, type_=int) if cursor is not None else moment.position + 1
    entity = await _entity(reading, workspace_id, declared, id_=id_, moment=moment)
    if entity is None:
        return None
    versions = await _versions(reading, workspace_id, declared, id_=id_, before=before, limit=limit + 1)
    causes = await _causes(reading, workspace_id, [version["from_position"] for version in versions[:limit]])
    items = []
    for index, version in enumerate(versions[:limit]):
        first = version["from_position"] == entity["created_position"]
        # What cannot change is told with the first version, which alone has no version before it.
        told = {**entity, **version} if first else version
        older = None if first else versions[index + 1]
        items.append({**causes[version["from_position"]], "changes": _changes(declared, older, told)})
    next_cursor = encode_cursor(versions[limit - 1]["from_position"]) if len(versions) > limit else None
    name = entity.get("name")
    return {"id": id_, "kind": declared.kind, "name": name, "items": items, "next": next_cursor}


def _changes(declared: Table, older: Row | None, version: Row) -> list[dict[str, Any]]:
    changes = field_changes(declared, older, version)
    if older is not None and older["deleted"] != version["deleted"]:
        changes.append({"field": "deleted", "from": older["deleted"], "to": version["deleted"]})
    return changes


async def _entity(reading: Reading, workspace_id: UUID, declared: Table, *, id_: UUID, moment: Moment) -> Row | None:
    """The row as the current table has it, whatever became of the entity."""
    if moment.head == 0:
        return None
    rows = await reading.rows(
        f"SELECT {names(declared.columns)} FROM {reading.moments.schema_of(workspace_id)}.{declared.name}"
        " WHERE workspace_id = %(workspace)s AND id = %(id)s AND created_position <= %(position)s",
        {"workspace": workspace_id, "id": id_, "position": moment.position},
    )
    return rows[0] if rows else None


async def _versions(
    reading: Reading, workspace_id: UUID, declared: Table, *, id_: UUID, before: Position, limit: int
) -> list[Row]:
    """The versions that began before a position, newest first."""
    schema, parameters = reading.moments.schema_of(workspace_id), Parameters()
    where = (
        f"workspace_id = {parameters.add(workspace_id)} AND id = {parameters.add(id_)}"
        f" AND {'created_position' if declared.append_only else 'from_position'} < {parameters.add(before)}::bigint"
    )
    if declared.append_only:
        return await reading.rows(
            f"SELECT {names(declared.columns)}, created_position AS from_position, false AS deleted"
            f" FROM {schema}.{declared.name} WHERE {where}",
            parameters,
        )
    columns = names(declared.mutable)
    return await reading.rows(
        f"SELECT {columns} FROM {schema}.{declared.name} WHERE {where}"
        f" UNION ALL SELECT {columns} FROM {schema}.{declared.history} WHERE {where}"
        f" ORDER BY from_position DESC LIMIT {limit}",
        parameters,
    )


async def _causes(
    reading: Reading, workspace_id: UUID, positions: Sequence[Position]
) -> dict[Position, dict[str, Any]]:
    """Who did what at these positions."""
    rows = await reading.rows(
        "SELECT created_position, created_at, created_by, type, command_id"
        f" FROM {reading.moments.schema_of(workspace_id)}.events"
        " WHERE workspace_id = %(workspace)s AND created_position = ANY(%(positions)s::bigint[])",
        {"workspace": workspace_id, "positions": list(positions)},
    )
    return {
        row["created_position"]: {
            "position": row["created_position"],
            "recorded_at": row["created_at"],
            "actor": row["created_by"],
            "types": [row["type"]],
            "command_id": row["command_id"],
        }
        for row in rows
    }
