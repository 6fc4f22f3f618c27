"""Search among events by who, what, about what and when. The index finds them, the ledger tells what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from ledger.codec import public
from projections import events
from projections.errors import EntityNotFound, InvalidFilter
from projections.filters import Filter, Parameters
from projections.moments import Moment
from projections.pages import CREATED_POSITION, NEWEST_FIRST, cursor_after, last_of
from projections.registry import entity_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.envelope import RecordedEvent
    from ledger.values import Position
    from projections.reading import Reading
    from projections.table import Table

PREFIX_END = ".*"


class EventSearch(NamedTuple):
    """Everything that is given has to hold. `type` is exact, or a prefix such as `run.*`."""

    actor: str | None = None
    type: str | None = None
    kind: str | None = None
    stream_id: UUID | None = None
    since: str | None = None
    until: str | None = None


async def search_events(
    reading: Reading, workspace_id: UUID, asked: EventSearch, *, moment: Moment, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page of events, newest first."""
    filters = [*_filters(asked), *await _period(reading, workspace_id, asked)]
    last = last_of(NEWEST_FIRST, cursor) if cursor is not None else None
    rows = await reading.page(
        workspace_id, events.TABLE.name, moment=moment, filters=filters, last=last, limit=limit + 1
    )
    page = rows[:limit]
    recorded = await reading.ledger.read_at(workspace_id, [row["created_position"] for row in page])
    named = await _names(reading, workspace_id, recorded)
    found = {event.position: {**public(event), "entity_name": named.get(event.position)} for event in recorded}
    return {
        "items": [found[row["created_position"]] for row in page],
        "next": cursor_after(NEWEST_FIRST, page[-1]) if len(rows) > limit else None,
    }


async def find_event(reading: Reading, workspace_id: UUID, position: int) -> dict[str, Any]:
    """The event at a position. Raises EntityNotFound."""
    found = await reading.ledger.read_at(workspace_id, [position]) if position > 0 else []
    if not found:
        await reading.ledger.head(workspace_id)  # where it has left, nothing that is missing says anything
        raise EntityNotFound("event", str(position))
    return public(found[0])


async def _names(reading: Reading, workspace_id: UUID, recorded: Sequence[RecordedEvent]) -> dict[Position, str]:
    """What each event's entity was called when the event had happened: a question for each kind on the page."""
    by_table: dict[Table, list[RecordedEvent]] = {}
    for event in recorded:
        declared = entity_table(event.stream.kind)
        if "name" in declared.by_name:
            by_table.setdefault(declared, []).append(event)
    named: dict[Position, str] = {}
    for declared, events_of in by_table.items():
        parameters = Parameters()
        schema = reading.moments.schema_of(workspace_id)
        query = _names_then(schema, declared, workspace_id, recorded=events_of, parameters=parameters)
        named |= {row["position"]: row["name"] for row in await reading.rows(query, parameters) if row["name"]}
    return named


def _names_then(
    schema: str, declared: Table, workspace_id: UUID, *, recorded: Sequence[RecordedEvent], parameters: Parameters
) -> str:
    workspace = parameters.add(workspace_id)
    ids = parameters.add([event.stream.id for event in recorded])
    positions = parameters.add([event.position for event in recorded])
    asked = f"unnest({ids}::uuid[], {positions}::bigint[]) AS asked (id, position)"
    current = f"{schema}.{declared.name} AS c ON c.workspace_id = {workspace} AND c.id = asked.id"
    if "name" in declared.immutable_names:
        return f"SELECT asked.position, c.name FROM {asked} JOIN {current}"
    return (
        "SELECT asked.position, CASE WHEN c.from_position <= asked.position THEN c.name ELSE h.name END AS name"
        f" FROM {asked} JOIN {current} LEFT JOIN {schema}.{declared.history} AS h ON h.workspace_id = {workspace}"
        " AND h.id = asked.id AND h.from_position <= asked.position AND h.to_position > asked.position"
        " AND c.from_position > asked.position"
    )


def _filters(asked: EventSearch) -> list[Filter]:
    exact = {"actor": asked.actor, "kind": asked.kind, "stream_id": asked.stream_id}
    filters = [_filter(name, "equals", value) for name, value in exact.items() if value is not None]
    if asked.type is not None and asked.type.endswith(PREFIX_END):
        # The next character after the dot ends the range of everything that begins with `run.`.
        prefix = asked.type.removesuffix("*")
        filters += [_filter("type", "gte", prefix), _filter("type", "lt", prefix[:-1] + "/")]
    elif asked.type is not None:
        filters.append(_filter("type", "equals", asked.type))
    for name, value in (("actor", asked.actor), ("type", asked.type), ("kind", asked.kind)):
        if value is not None and "\x00" in value:
            raise InvalidFilter(name, value, reason="text with a NUL character matches nothing")
    return filters


async def _period(reading: Reading, workspace_id: UUID, asked: EventSearch) -> list[Filter]:
    """Positions instead of times: they are the order of the index."""
    filters = []
    if asked.since is not None:
        since = await reading.moments.position_of(workspace_id, asked.since)
        exact = asked.since.isdigit()
        filters.append(Filter(CREATED_POSITION, (), "gte" if exact else "gt", negated=False, value=since))
    if asked.until is not None:
        until = await reading.moments.position_of(workspace_id, asked.until)
        filters.append(Filter(CREATED_POSITION, (), "lte", negated=False, value=until))
    return filters


def _filter(name: str, operator: str, value: object) -> Filter:
    return Filter(events.TABLE.by_name[name], (), operator, negated=False, value=value)
