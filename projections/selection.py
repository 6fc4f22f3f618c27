"""The SQL of one question about one table at one moment.

Live questions read the current table alone. A past moment is found without scanning what ever matched: by walking the
entities in order of creation and looking up the version of each, or through the interval tree of closed versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from projections.pages import CREATED_POSITION, ID
from projections.table import Column, nodes_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from projections.filters import Filter, Parameters
    from projections.moments import Moment
    from projections.pages import Order
    from projections.table import Table

DELETED = "deleted"


class Page(NamedTuple):
    """Which part of the rows: the order, after which key, how many at most."""

    order: Order
    last: Sequence[object] | None
    limit: int


class Selection:
    """The rows of a table that pass the filters at a moment: those that were there, or with `deleted` the tombstones.

    Values gather in `parameters`."""

    def __init__(
        self,
        table: Table,
        schema: str,
        *,
        workspace_id: UUID,
        moment: Moment,
        filters: Sequence[Filter],
        parameters: Parameters,
        deleted: bool = False,
    ) -> None:
        self._table = table
        self._current = f"{schema}.{table.name}"
        self._history = f"{schema}.{table.history}"
        self._moment = moment
        self._filters = filters
        self._life = "" if deleted else "NOT "
        self._parameters = parameters
        self._workspace = f"{parameters.add(workspace_id)}::uuid"
        self._position = f"{parameters.add(moment.position)}::bigint"

    def rows(self, columns: Sequence[Column]) -> str:
        """All of them, in no order."""
        if self._moment.live or self._table.append_only:
            return self._select_current(columns)
        nodes = f"{self._parameters.add(self._nodes())}::bigint[]"
        closed = self._select_closed(columns, where=f"h.node = ANY({nodes})")
        return f"{self._select_current(columns)} UNION ALL {closed}"

    def page(self, columns: Sequence[Column], page: Page) -> str:
        """A page of them, in order, by the way that reads the least."""
        if self._moment.live or self._table.append_only:
            return self._paged(self._select_current(columns, page), page, _current)
        if page.order.column is None:
            if all(filter_.column.immutable for filter_ in self._filters):
                return self._paged(self._walk(columns, page), page, _current)
            if any(_is_keyed(filter_) for filter_ in self._filters):
                return self._by_node(columns, page)
        after = [page.order.after(page.last, _bare, self._parameters)] if page.last else ["true"]
        rows = f"SELECT * FROM ({self.rows(columns)}) AS found WHERE {after[0]}"
        return self._paged(rows, page, _bare)

    def _paged(self, rows: str, page: Page, expression: Callable[[Column], str]) -> str:
        return f"{rows} ORDER BY {page.order.sql(expression)} LIMIT {page.limit}"

    def _conditions(self, expression: Callable[[Column], str]) -> list[str]:
        return [filter_.sql(expression, self._parameters) for filter_ in self._filters]

    def _select_current(self, columns: Sequence[Column], page: Page | None = None) -> str:
        """From the current table: live rows, or the versions that still hold and held at the position."""
        where = [f"c.workspace_id = {self._workspace}"]
        if not self._table.append_only:
            where.append(f"{self._life}c.{DELETED}")
        if not self._moment.live:
            where.append(f"c.created_position <= {self._position}")
            if not self._table.append_only:
                where.append(f"c.from_position <= {self._position}")
        if page and page.last:
            where.append(page.order.after(page.last, _current, self._parameters))
        where += self._conditions(_current)
        return f"SELECT {_list(columns, _current)} FROM {self._current} AS c WHERE {' AND '.join(where)}"

    def _select_closed(self, columns: Sequence[Column], *, where: str, page: Page | None = None) -> str:
        """From the history: closed versions that held at the position."""
        expression = _version_of(self._table)
        conditions = [
            f"h.workspace_id = {self._workspace}",
            where,
            f"h.from_position <= {self._position}",
            f"h.to_position > {self._position}",
            f"{self._life}h.{DELETED}",
            *self._conditions(expression),
        ]
        if page and page.last:
            conditions.append(page.order.after(page.last, _closed, self._parameters))
        return (
            f"SELECT {_list(columns, expression)} FROM {self._history} AS h"
            f" JOIN {self._current} AS c ON c.workspace_id = h.workspace_id AND c.id = h.id"
            f" WHERE {' AND '.join(conditions)}"
        )

    def _walk(self, columns: Sequence[Column], page: Page) -> str:
        """Entities in order of creation, each with the version that held: stops as soon as the page is full."""
        deleted = _either(self._table, self._position)(self._table.by_name[DELETED])
        where = [f"{self._life}{deleted}", *self._conditions(_current)]
        if page.last:
            where.append(page.order.after(page.last, _current, self._parameters))
        return self._versions(columns, where)

    def versions(self, ids: Sequence[UUID]) -> str:
        """The versions that these entities had at the position, tombstones too."""
        return self._versions(self._table.columns, [f"c.id = ANY({self._parameters.add(list(ids))}::uuid[])"])

    def _versions(self, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        """Entities of the current table, each with the version that held at the position."""
        expression = _either(self._table, self._position)
        where = [
            f"c.workspace_id = {self._workspace}",
            f"c.created_position <= {self._position}",
            *conditions,
        ]
        return (
            f"SELECT {_list(columns, expression)} FROM {self._current} AS c LEFT JOIN LATERAL ("
            f"SELECT * FROM {self._history} AS v WHERE v.workspace_id = c.workspace_id AND v.id = c.id"
            f" AND c.from_position > {self._position} AND v.from_position <= {self._position}"
            f" AND v.to_position > {self._position} ORDER BY v.from_position DESC LIMIT 1) AS h ON true"
            f" WHERE {' AND '.join(where)}"
        )

    def _by_node(self, columns: Sequence[Column], page: Page) -> str:
        """A page from each node of the interval tree that can hold the position, and from the current table."""
        nodes = f"{self._parameters.add(self._nodes())}::bigint[]"
        of_node = self._paged(self._select_closed(columns, where="h.node = nodes.node", page=page), page, _closed)
        current = self._paged(self._select_current(columns, page), page, _current)
        closed = f"SELECT found.* FROM unnest({nodes}) AS nodes (node) CROSS JOIN LATERAL ({of_node}) AS found"
        return self._paged(f"SELECT * FROM ({closed} UNION ALL ({current})) AS found", page, _bare)

    def _nodes(self) -> list[int]:
        return nodes_at(self._moment.position, self._moment.head)


def _is_keyed(filter_: Filter) -> bool:
    """Whether the history has an index for it."""
    keyed = filter_.column.indexed and not filter_.column.immutable
    return keyed and filter_.operator == "equals" and not filter_.negated


def _list(columns: Sequence[Column], expression: Callable[[Column], str]) -> str:
    needed = dict.fromkeys((*columns, CREATED_POSITION, ID))
    return ", ".join(f'{expression(column)} AS "{column.name}"' for column in needed)


def _bare(column: Column) -> str:
    return f'"{column.name}"'


def _current(column: Column) -> str:
    return f'c."{column.name}"'


def _closed(column: Column) -> str:
    return f'h."{column.name}"'


def _version_of(table: Table) -> Callable[[Column], str]:
    """What cannot change is only in the current table; the key is in both, where the history's index has it."""

    def expression(column: Column) -> str:
        keyed = column in (ID, CREATED_POSITION)
        return _closed(column) if keyed or column.name not in table.immutable_names else _current(column)

    return expression


def _either(table: Table, position: str) -> Callable[[Column], str]:
    def expression(column: Column) -> str:
        if column.name in table.immutable_names:
            return _current(column)
        return f"CASE WHEN c.from_position <= {position} THEN {_current(column)} ELSE {_closed(column)} END"

    return expression
