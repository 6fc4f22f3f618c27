"""Which entity carries which tag: a row for each pair, and the `tags` column of the entities themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.registry import aggregates
from ledger.events.tagging import KIND, TagAttached, TagDetached
from projections.registry import entity_table
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

TAGGINGS = Table(
    name="taggings",
    kind=KIND,
    own=(
        Column("tag_id", "uuid", indexed=True, immutable=True),
        Column("tag", "text", indexed=True, immutable=True),
        Column("resource_kind", "text", indexed=True, immutable=True),
        Column("resource_id", "uuid", indexed=True, immutable=True),
    ),
)
TABLES = (TAGGINGS,)

TaggingEvent = TagAttached | TagDetached


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    event = cast("TaggingEvent", recorded.event)
    tagged = _tagged_table(event.resource_kind)
    if tagged is not None:
        yield tagged.name, event.resource_id


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("TaggingEvent", recorded.event):
        case TagAttached():
            fixed = {
                "tag_id": event.tag_id,
                "tag": event.tag,
                "resource_kind": event.resource_kind,
                "resource_id": event.resource_id,
            }
            rows.put("taggings", id_, fixed=fixed, deleted=False)
            _retag(rows, event, present=True)
        case TagDetached():
            rows.delete("taggings", id_)
            _retag(rows, event, present=False)
        case _:
            assert_never(event)


def _tagged_table(kind: str) -> Table | None:
    """The table of what is tagged, if its rows show their tags."""
    if kind not in aggregates():
        return None
    found = entity_table(kind)
    return found if found.taggable else None


def _retag(rows: Rows, event: TaggingEvent, *, present: bool) -> None:
    """Of a table that is folded too: while one is rebuilt, the others are not, and the other way round."""
    tagged = _tagged_table(event.resource_kind)
    if tagged is not None and rows.holds(tagged.name):
        others = set(rows.get(tagged.name, event.resource_id)["tags"]) - {event.tag}
        tags = sorted(others | {event.tag}) if present else sorted(others)
        rows.update(tagged.name, event.resource_id, tags=tags)
