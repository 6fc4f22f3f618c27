"""People of the organization; only the control ledger has any. An erasure empties every version of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.person import (
    KIND,
    PersonErased,
    PersonHoldPlaced,
    PersonHoldReleased,
    PersonRegistered,
    PersonUpdated,
)
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1
ACTIVE, HELD, GONE = "active", "held", "erased"

PERSONS = Table(
    name="persons",
    kind=KIND,
    summary="People: who may be held, and who was erased.",
    listed=("handle", "name", "email", "status", "holds", "updated_at"),
    referred_by=("handle", "email", "name"),
    own=(
        Column("handle", "text", indexed=True, personal=True),
        Column("name", "text", indexed=True, personal=True),
        Column("email", "text", indexed=True, personal=True),
        Column("status", "text", indexed=True),
        Column("holds", "text_list"),
    ),
)
TABLES = (PERSONS,)

PersonEvent = PersonRegistered | PersonUpdated | PersonHoldPlaced | PersonHoldReleased | PersonErased


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("PersonEvent", recorded.event):
        case PersonRegistered():
            rows.insert("persons", id_, handle=event.handle, name=event.name, email=event.email, status=ACTIVE)
        case PersonUpdated():
            rows.update("persons", id_, **present(event))
        case PersonHoldPlaced():
            holds = sorted({*rows.get("persons", id_)["holds"], event.matter})
            rows.update("persons", id_, holds=holds, status=HELD)
        case PersonHoldReleased():
            holds = [matter for matter in rows.get("persons", id_)["holds"] if matter != event.matter]
            rows.update("persons", id_, holds=holds, status=HELD if holds else ACTIVE)
        case PersonErased():
            rows.update("persons", id_, status=GONE)
            rows.erase("persons", id_)
        case _:
            assert_never(event)
