"""Ids that stand for other entities, written as names for people; programs get the ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from everline.cli.nouns import noun_of_kind

if TYPE_CHECKING:
    from everline.cli.session import Session

Row = dict[str, Any]
IDS_PER_QUESTION_MAX = 50
IDS_MAX = 500
TABLE_BY_FIELD = {
    "artifacts": "artifact-versions",
    "components": "components",
    "inputs": "artifact-versions",
    "outputs": "artifact-versions",
    "production_version_id": "model-versions",
    "run_id": "runs",
}
"""Fields that hold the id of an entity, or map roles to ids, and the table that the entities are in."""


def with_names(session: Session, rows: Sequence[Row]) -> list[Row]:
    """The rows with names for ids, in entities (`components`) and in changes of them (`field`, `from`, `to`)."""
    names = found_names(session, (pair for row in rows for pair in referring(row)))
    return [{**row, **{key: renamed(row.get(key), names) for key, _, _ in places(row)}} for row in rows]


def entity_names(session: Session, entities: Sequence[str]) -> dict[str, str]:
    """`stack/prod` for each `stack/<id>` that has a name now; those without keep their id."""
    ids = [(entity, *entity.split("/", 1)) for entity in entities]
    nouns = {entity: noun_of_kind(kind) for entity, kind, _ in ids}
    names = found_names(session, ((noun.table, id_) for entity, _, id_ in ids if (noun := nouns[entity])))
    return {entity: f"{kind.replace('_', '-')}/{names.get(id_, id_)}" for entity, kind, id_ in ids}


def found_names(session: Session, wanted: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Names by id, for (table, id) pairs; at most `IDS_MAX` of a table are asked for, the rest keep their ids."""
    by_table: dict[str, set[str]] = defaultdict(set)
    for table, id_ in wanted:
        by_table[table].add(id_)
    names: dict[str, str] = {}
    for table, ids in by_table.items():
        ordered = sorted(ids)[:IDS_MAX]
        for first in range(0, len(ordered), IDS_PER_QUESTION_MAX):
            asked = ",".join(ordered[first : first + IDS_PER_QUESTION_MAX])
            page = session.page(table, {"id": f"oneof:{asked}", "fields": "id,name", "limit": IDS_PER_QUESTION_MAX})
            names |= {str(item["id"]): str(item["name"]) for item in page["items"]}
    return names


def referring(row: Row) -> Iterator[tuple[str, str]]:
    """The (table, id) pairs that a row refers to."""
    for _, table, value in places(row):
        for id_ in value.values() if isinstance(value, dict) else [value]:
            yield table, str(id_)


def places(row: Row) -> Iterator[tuple[str, str, dict[str, Any] | str]]:
    """Where in a row ids stand: (key, table, the id or the mapping to ids)."""
    changed = TABLE_BY_FIELD.get(str(row.get("field")).partition(".")[0])
    keys = {"from": changed, "to": changed} if changed else TABLE_BY_FIELD
    for key, table in keys.items():
        if table and isinstance(value := row.get(key), dict | str) and value:
            yield key, table, value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """An id, or the ids of a mapping, as names where they are known."""
    if isinstance(value, dict):
        return {key: names.get(str(inner), inner) for key, inner in value.items()}
    return names.get(str(value), value)
