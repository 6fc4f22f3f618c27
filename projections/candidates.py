"""Which entities can answer a question about the past, found in indexes without reading a version.

By creation: every entity that was there. By key: those whose value of an indexed column held at the position, from the
current table where it still does, and through the interval tree of ended values where it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from projections.pages import CREATED_POSITION, ID
from projections.table import LIFE, Column, nodes_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from projections.filters import Filter, Parameters
    from projections.moments import Moment
    from projections.pages import Order
    from projections.table import Table

DELETED = next(column for column in LIFE if column.name == "deleted")


class Range(NamedTuple):
    """So many candidates in an order, after a key."""

    order: Order
    last: Sequence[object] | None
    limit: int


class Candidates:
    """SELECT statements of ids, each with what they are sorted by."""

    def __init__(
        self, table: Table, schema: str, *, workspace: str, position: str, moment: Moment, parameters: Parameters
    ) -> None:
        self._current = f"{schema}.{table.name}"
        self._history = f"{schema}.{table.history}"
        self._workspace = workspace
        self._position = position
        self._moment = moment
        self._parameters = parameters

    def by_creation(self, conditions: Sequence[str], asked: Range | None = None) -> str:
        """Entities that were there, deleted or not, in an order that no change touches; conditions are about `k`."""
        if asked is None:
            return self._created([ID], [self._was_created(), *conditions])
        columns = _columns(asked)
        ranges = (self._created(columns, [*conditions, part]) for part in self._parts(asked))
        return _merged([f"{rows} {_cut(asked, of('k'))}" for rows in ranges], asked)

    def by_key(self, column: Column, *, value: Filter | None = None, asked: Range | None = None) -> str:
        """Entities with what the keyed column held, in no order: only those with the value if there is one.

        Asked for a range, one range of an index is read for each node and part of the order.
        """
        where = [value.sql(of("k"), self._parameters)] if value else []
        nodes = f"{self._parameters.add(nodes_at(self._moment.position, self._moment.head))}::bigint[]"
        if asked is None:
            where.append(self._was_created())
            ended = self._ended(column, [column, ID], [f"k.{column.node} = ANY({nodes})", *where])
            return f"{self._holding(column, [column, ID], where)} UNION ALL {ended}"
        columns, selects = _columns(asked), []
        for part in self._parts(asked):
            selects.append(f"{self._holding(column, columns, [*where, part])} {_cut(asked, of('k'))}")
            ended = self._ended(column, columns, [f"k.{column.node} = nodes.node", *where, part])
            selects.append(
                f"SELECT found.* FROM unnest({nodes}) AS nodes (node)"
                f" CROSS JOIN LATERAL ({ended} {_cut(asked, of('k'))}) AS found"
            )
        return _merged(selects, asked)

    def gone(self) -> str:
        """The ids of what was deleted."""
        nodes = f"{self._parameters.add(nodes_at(self._moment.position, self._moment.head))}::bigint[]"
        ended = self._ended(DELETED, [ID], [f"k.{DELETED.node} = ANY({nodes})", "k.deleted"])
        return f"{self._holding(DELETED, [ID], ['k.deleted'])} UNION ALL {ended}"

    def _parts(self, asked: Range) -> list[str]:
        """The range in parts, each of which bounds an index: nothing held before it was created or had happened."""
        order = asked.order
        if order.column is None:
            return order.parts(of("k"), self._parameters, last=asked.last, bound=self._moment.position)
        bound = self._moment.recorded_at if order.column.happened else None
        parts = order.parts(of("k"), self._parameters, last=asked.last, bound=bound)
        return [f"{part} AND {self._was_created()}" for part in parts]

    def _was_created(self) -> str:
        return f"k.created_position <= {self._position}"

    def _created(self, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        return _select(columns, self._current, [f"k.workspace_id = {self._workspace}", *conditions])

    def _holding(self, column: Column, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        """Values that held at the position and still do."""
        return self._created(columns, [f"k.{column.since} <= {self._position}", *conditions])

    def _ended(self, column: Column, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        """Values that held at the position and do no longer."""
        interval = [f"k.{column.since} <= {self._position}", f"k.to_position > {self._position}"]
        return _select(columns, self._history, [f"k.workspace_id = {self._workspace}", *interval, *conditions])


def of(alias: str) -> Callable[[Column], str]:
    """Where the columns of a table stand in a statement."""
    return lambda column: f'{alias}."{column.name}"'


def bare(column: Column) -> str:
    return f'"{column.name}"'


def _columns(asked: Range) -> list[Column]:
    return [*([asked.order.column] if asked.order.column else []), CREATED_POSITION, ID]


def _select(columns: Sequence[Column], source: str, conditions: Sequence[str]) -> str:
    told = ", ".join(of("k")(column) for column in columns)
    return f"SELECT {told} FROM {source} AS k WHERE {' AND '.join(conditions)}"


def _cut(asked: Range, expression: Callable[[Column], str]) -> str:
    return f"ORDER BY {asked.order.sql(expression)} LIMIT {asked.limit}"


def _merged(selects: Sequence[str], asked: Range) -> str:
    """The first of all of them together."""
    if len(selects) == 1:
        return selects[0]
    together = " UNION ALL ".join(f"({select})" for select in selects)
    return f"SELECT * FROM ({together}) AS k {_cut(asked, bare)}"
