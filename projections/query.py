"""What can be asked of the query tables, live and as of any past moment. Answers are plain, ready to be encoded.

Every answer says which moment it is about (`as_of`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from projections.differences import diff, place_of
from projections.errors import EntityNotFound, InvalidFilter
from projections.event_search import EventSearch, find_event, search_events
from projections.filters import Parameters, filterable, parse_filters
from projections.history import history
from projections.lineage import DEPTH, lineage
from projections.moments import LIVE, When
from projections.pages import ID, NEWEST_FIRST, Order, check_limit, cursor_after, last_of, parse_order
from projections.reading import Reading, columns_named, shown
from projections.references import References, equal
from projections.registry import table, table_of, tables
from projections.table import ANY_OWNER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader
    from ledger.values import Position
    from projections.filters import Filter
    from projections.moments import Moment
    from projections.table import Row

LIMIT = 20
CHILDREN_MAX = 100
"""How many rows of each kind are shown with the entity they belong to; `total` tells of the rest."""

UNCOUNTABLE_TYPES = frozenset({"json", "text_list", "float"})
GROUPS_MAX = 1_000


class Queries:
    """Reads of one PostgreSQL's workspaces. Safe to share between tasks."""

    def __init__(self, pool: AsyncConnectionPool[Any], reader: LedgerReader) -> None:
        self._reading = Reading(pool, reader)
        self._references = References(self._reading)

    async def list(
        self,
        workspace_id: UUID,
        name: str,
        *,
        filters: Sequence[tuple[str, str]] = (),
        sort: str | None = None,
        limit: int = LIMIT,
        cursor: str | None = None,
        count: bool = False,
        fields: Sequence[str] | None = None,
        when: When = LIVE,
    ) -> dict[str, Any]:
        """A page of a table; `total` is counted only on request."""
        declared, limit = table(name), check_limit(limit)
        order, parsed = parse_order(declared, sort), parse_filters(declared, filters)
        columns = columns_named(declared, fields) if fields is not None else declared.shown()
        last = last_of(order, cursor) if cursor is not None else None
        moment = await self._reading.moments.at(workspace_id, when, tables=[name])
        rows = await self._reading.page(
            workspace_id,
            name,
            moment=moment,
            filters=parsed,
            order=order,
            last=last,
            limit=limit + 1,
            columns=columns,
        )
        total = await self._reading.total(workspace_id, declared, moment=moment, filters=parsed) if count else None
        return {
            "items": [shown(row, columns) for row in rows[:limit]],
            "next": cursor_after(order, rows[limit - 1]) if len(rows) > limit else None,
            "total": total,
            "as_of": moment.shown(),
        }

    async def get(self, workspace_id: UUID, name: str, ref: str, *, when: When = LIVE) -> dict[str, Any]:
        """One entity with the rows that belong to it. Raises EntityNotFound or AmbiguousReference."""
        declared = table(name)
        moment = await self._reading.moments.at(workspace_id, when)
        id_ = await self._references.resolve(workspace_id, name, ref, moment=moment)
        rows = await self._reading.page(workspace_id, name, moment=moment, filters=[equal(ID, id_)], limit=1)
        if not rows:
            raise EntityNotFound(declared.kind, ref)
        children = await self._children(workspace_id, name, id_, moment=moment)
        return {**shown(rows[0], declared.shown()), **children, "as_of": moment.shown()}

    async def counts(
        self,
        workspace_id: UUID,
        name: str,
        *,
        by: str,
        filters: Sequence[tuple[str, str]] = (),
        when: When = LIVE,
    ) -> dict[str, Any]:
        """How many rows there are of each value of a column, most frequent first; NULL counts as ""."""
        declared = table(name)
        (column,) = columns_named(declared, [by])
        if column.type in UNCOUNTABLE_TYPES:
            raise InvalidFilter("by", by, reason=f"values of type {column.type} are not counted")
        parsed = parse_filters(declared, filters)
        moment = await self._reading.moments.at(workspace_id, when, tables=[name])
        if moment.head == 0:
            return {"counts": {}, "as_of": moment.shown()}
        parameters = Parameters()
        selection = self._reading.selection(
            workspace_id, declared, moment=moment, filters=parsed, parameters=parameters
        )
        groups = await self._reading.rows(
            f'SELECT "{by}" AS value, count(*) AS total FROM ({selection.rows([column])}) AS found'
            f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {GROUPS_MAX + 1}",
            parameters,
        )
        if len(groups) > GROUPS_MAX:
            raise InvalidFilter("by", by, reason=f"it has more than {GROUPS_MAX} values; add filters")
        counts = {"" if group["value"] is None else str(group["value"]): group["total"] for group in groups}
        return {"counts": counts, "as_of": moment.shown()}

    async def resolve(
        self, workspace_id: UUID, name: str, ref: str, *, when: When = LIVE, deleted_too: bool = False
    ) -> UUID:
        """The id that a reference names. Raises EntityNotFound or AmbiguousReference."""
        moment = await self._reading.moments.at(workspace_id, when)
        if deleted_too:
            return await self._references.resolve_past(workspace_id, name, ref, moment=moment)
        return await self._references.resolve(workspace_id, name, ref, moment=moment)

    async def history(
        self,
        workspace_id: UUID,
        name: str,
        ref: str,
        *,
        limit: int = LIMIT,
        cursor: str | None = None,
        when: When = LIVE,
    ) -> dict[str, Any]:
        """How an entity came to be what it is, newest change first; also of a deleted one."""
        declared, limit = table(name), check_limit(limit)
        moment = await self._reading.moments.at(workspace_id, when)
        id_ = await self._references.resolve_past(workspace_id, name, ref, moment=moment)
        found = await history(self._reading, workspace_id, declared, id_=id_, moment=moment, limit=limit, cursor=cursor)
        if found is None:
            raise EntityNotFound(declared.kind, ref)
        return {**found, "as_of": moment.shown()}

    async def diff(
        self,
        workspace_id: UUID,
        *,
        before: str,
        after: str | None = None,
        kind: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """What is different between two moments; the later one is the ledger's head if it is not given, on the pages
        that follow the one that the first page had."""
        limit = check_limit(limit)
        if after is None and cursor is not None:
            after = str(place_of(cursor).end)
        elif after is None:
            after = str((await self._reading.ledger.head(workspace_id)).position)
        end = await self._reading.moments.at(workspace_id, When(after))
        start = await self._reading.moments.at(workspace_id, When(before))
        if start.position > end.position:
            raise InvalidFilter("from", before, reason=f"it comes after position {end.position}")
        return await diff(self._reading, workspace_id, start=start, end=end, kind=kind, limit=limit, cursor=cursor)

    async def lineage(
        self, workspace_id: UUID, ref: str, *, direction: str = "both", depth: int = DEPTH, when: When = LIVE
    ) -> dict[str, Any]:
        """Where an artifact version comes from (up) and what was made of it (down)."""
        moment = await self._reading.moments.at(workspace_id, when)
        root = await self._references.resolve(workspace_id, "artifact_versions", ref, moment=moment)
        graph = await lineage(self._reading, workspace_id, root=root, direction=direction, depth=depth, moment=moment)
        return {**graph, "as_of": moment.shown()}

    async def events(
        self,
        workspace_id: UUID,
        *,
        actor: str | None = None,
        type: str | None = None,  # noqa: A002 - the name in the API
        kind: str | None = None,
        entity: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = LIMIT,
        cursor: str | None = None,
        when: When = LIVE,
    ) -> dict[str, Any]:
        """Events with their data, newest first. `type` is exact or `run.*`, `entity` is `kind/ref`; `since` and
        `until` are moments, both inclusive."""
        limit = check_limit(limit)
        moment = await self._reading.moments.at(workspace_id, when)
        stream = None
        if entity is not None:
            kind, id_ = await self._entity(workspace_id, entity, moment)
            stream = id_
        asked = EventSearch(actor=actor, type=type, kind=kind, stream_id=stream, since=since, until=until)
        found = await search_events(self._reading, workspace_id, asked, moment=moment, limit=limit, cursor=cursor)
        return {**found, "as_of": moment.shown()}

    async def event(self, workspace_id: UUID, position: Position) -> dict[str, Any]:
        """One event, read from the ledger itself. Raises EntityNotFound."""
        return await find_event(self._reading, workspace_id, position)

    async def _entity(self, workspace_id: UUID, entity: str, moment: Moment) -> tuple[str, UUID]:
        kind, slash, ref = entity.partition("/")
        if not slash:
            raise InvalidFilter("entity", entity, reason="an entity is written kind/name or kind/id")
        id_ = await self._references.resolve_past(workspace_id, table_of(kind).name, ref, moment=moment)
        return kind, id_

    async def _children(self, workspace_id: UUID, name: str, id_: UUID, *, moment: Moment) -> dict[str, Any]:
        """The rows of other tables that belong to an entity: steps of a run, versions of a model, metadata."""
        children: dict[str, Any] = {}
        for declared in tables().values():
            for column in declared.own:
                if column.owner == name or (column.owner == ANY_OWNER and declared.name != name):
                    filters = [equal(column, id_)]
                    index = filterable(declared).get("index")
                    order = Order(index, descending=False) if index else NEWEST_FIRST
                    rows = await self._reading.page(
                        workspace_id, declared.name, moment=moment, filters=filters, order=order, limit=CHILDREN_MAX + 1
                    )
                    children[declared.name] = {
                        "items": [shown(row, declared.shown()) for row in rows[:CHILDREN_MAX]],
                        "total": await self._total(workspace_id, declared.name, moment, filters, rows),
                    }
        return children

    async def _total(
        self, workspace_id: UUID, name: str, moment: Moment, filters: Sequence[Filter], rows: Sequence[Row]
    ) -> int:
        """Counted only when a page does not hold all of them."""
        if len(rows) <= CHILDREN_MAX:
            return len(rows)
        return await self._reading.total(workspace_id, table(name), moment=moment, filters=filters)
