"""Tags that people can put on entities. What carries a tag is in `taggings.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.tag import KIND, TagCreated, TagDeleted, TagRestored, TagUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

TAGS = Table(
    name="tags",
    kind=KIND,
    summary="Coloured words on other entities.",
    listed=("name", "color", "updated_at"),
    taggable=False,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("color", "text"),
    ),
)
TABLES = (TAGS,)

TagEvent = TagCreated | TagUpdated | TagDeleted | TagRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("TagEvent", recorded.event):
        case TagCreated():
            rows.insert("tags", id_, name=event.name, color=event.color)
        case TagUpdated():
            rows.update("tags", id_, **present(event))
        case TagDeleted():
            rows.delete("tags", id_)
        case TagRestored():
            rows.restore("tags", id_)
        case _:
            assert_never(event)
