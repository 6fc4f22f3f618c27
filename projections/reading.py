"""Statements on the query tables: executed, with documents decoded and rows as plain dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from projections.errors import UnknownField
from projections.filters import Parameters, filterable
from projections.moments import Moment, Moments
from projections.pages import NEWEST_FIRST
from projections.registry import table
from projections.selection import Page, Selection
from projections.storage import documents_as_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from psycopg_pool import AsyncConnectionPool

    from ledger.postgres.read import LedgerReader
    from projections.filters import Filter
    from projections.pages import Order
    from projections.table import Column, Row, Table


class Reading:
    """What every kind of question needs: moments, selections, and a way to PostgreSQL."""

    def __init__(self, pool: AsyncConnectionPool[Any], reader: LedgerReader) -> None:
        self._pool = pool
        self.ledger = reader
        self.moments = Moments(pool, reader)

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = documents_as_values(connection.cursor(row_factory=dict_row, binary=True))
            # A plan that is kept does not know how rare a value is, and lists stand or fall with that.
            await cursor.execute(query.encode(), parameters, prepare=False)
            found: list[Row] = await cursor.fetchall()
            return found

    async def page(
        self,
        workspace_id: UUID,
        name: str,
        *,
        moment: Moment,
        filters: Sequence[Filter] = (),
        order: Order = NEWEST_FIRST,
        last: Sequence[object] | None = None,
        limit: int,
        columns: Sequence[Column] | None = None,
        deleted: bool = False,
    ) -> list[Row]:
        """At most `limit` rows of a table as they were at the moment, with their creation and id in any case.

        With `deleted`, what was deleted then instead of what was there.
        """
        declared = table(name)
        if moment.head == 0:
            return []
        parameters = Parameters()
        selection = self.selection(
            workspace_id, declared, moment=moment, filters=filters, parameters=parameters, deleted=deleted
        )
        shown = list(columns if columns is not None else declared.shown())
        if order.column is not None and order.column not in shown:
            shown.append(order.column)
        for attempt in selection.attempts(shown, Page(order, last, limit)):
            if not attempt.counted:
                return await self.rows(attempt.sql, parameters)
            found = await self.rows(attempt.sql, parameters) if attempt.in_order else []
            if len(found) == limit:
                return found
            (counted,) = await self.rows(attempt.counted, parameters)
            if counted["looked"] < attempt.candidates_max:
                return found if attempt.in_order else await self.rows(attempt.sql, parameters)
        raise AssertionError("the last attempt always gives the page")

    async def total(
        self, workspace_id: UUID, declared: Table, *, moment: Moment, filters: Sequence[Filter] = ()
    ) -> int:
        """How many rows there were at the moment."""
        if moment.head == 0:
            return 0
        parameters = Parameters()
        selection = self.selection(workspace_id, declared, moment=moment, filters=filters, parameters=parameters)
        counted = await self.rows(f"SELECT count(*) AS total FROM ({selection.rows([])}) AS found", parameters)
        return int(counted[0]["total"])

    async def versions(
        self, workspace_id: UUID, declared: Table, *, ids: Sequence[UUID], moment: Moment
    ) -> dict[UUID, Row]:
        """The versions of these entities at the moment, deleted or not, by id."""
        if moment.head == 0:
            return {}
        parameters = Parameters()
        selection = self.selection(workspace_id, declared, moment=moment, filters=(), parameters=parameters)
        return {row["id"]: row for row in await self.rows(selection.versions(ids), parameters)}

    def selection(
        self,
        workspace_id: UUID,
        declared: Table,
        *,
        moment: Moment,
        filters: Sequence[Filter],
        parameters: Parameters,
        deleted: bool = False,
    ) -> Selection:
        """The SQL of a question; its values gather in `parameters`."""
        return Selection(
            declared,
            self.moments.schema_of(workspace_id),
            workspace_id=workspace_id,
            moment=moment,
            filters=filters,
            parameters=parameters,
            deleted=deleted,
        )


def shown(row: Row, columns: Sequence[Column]) -> Row:
    """The row without what only the engine needs."""
    return {column.name: row[column.name] for column in columns}


def columns_named(declared: Table, names: Sequence[str]) -> list[Column]:
    """Raises UnknownField."""
    known = filterable(declared)
    for name in names:
        if name not in known:
            raise UnknownField(declared.name, name, allowed=known)
    return [known[name] for name in dict.fromkeys(names)]
