"""The SQL of one question about one table at one moment.

Live questions read the current table alone. A question about the past first finds candidates in indexes
(`projections/candidates.py`), then looks up the version that each of them had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from projections.candidates import DELETED, Candidates, Range, bare, of
from projections.pages import CREATED_POSITION, ID
from projections.table import TAGS, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from projections.filters import Filter, Parameters
    from projections.moments import Moment
    from projections.pages import Order
    from projections.table import Table

CANDIDATES_MIN = 64
CANDIDATES_GROWTH = 16
CANDIDATES_MAX = CANDIDATES_MIN * CANDIDATES_GROWTH**2
"""A page is looked for among few candidates first; when more than the maximum are needed, among all there are."""


class Page(NamedTuple):
    """Which part of the rows: the order, after which key, how many at most."""

    order: Order
    last: Sequence[object] | None
    limit: int


class Attempt(NamedTuple):
    """A statement for a page, from at most `candidates_max` candidates; `counted` is the statement of their number.

    If there are fewer candidates, these are all and the page is right. `in_order`, it is right also if it is full.
    """

    sql: str
    counted: str = ""
    candidates_max: int = 0
    in_order: bool = False


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
        self._schema = schema
        self._current = f"{schema}.{table.name}"
        self._moment = moment
        self._is_past = not moment.live
        self._filters = filters
        self._deleted = deleted
        self._parameters = parameters
        self._workspace = f"{parameters.add(workspace_id)}::uuid"
        self._position = f"{parameters.add(moment.position)}::bigint"
        self._then = _version_then(table, self._position)
        self._candidates = Candidates(
            table,
            schema,
            workspace=self._workspace,
            position=self._position,
            moment=moment,
            parameters=parameters,
        )
        self._key = next((filter_ for filter_ in filters if _is_keyed(filter_)), None)

    def rows(self, columns: Sequence[Column]) -> str:
        """All of them, in no order. The live ones are those at the newest position: where no version is needed, that
        is answered by indexes alone."""
        if self._table.append_only:
            return self._select_current(columns, [self._was_created()])
        told = (*columns, *(filter_.column for filter_ in self._filters))
        key = self._key.column if self._key else next((column for column in told if column.keyed), None)
        if all(column.immutable or column == key for column in told):
            return self._without_versions(columns, key)
        if self._is_current:
            return self._select_current(columns, [])
        return f"SELECT {_list(columns, self._then)} {self._versions(self._every())} WHERE {self._held()}"

    def attempts(self, columns: Sequence[Column], page: Page) -> Iterator[Attempt]:
        """Ways to a page, the cheapest first; the next is for when the one before does not lead there. The last does.

        How many candidates pass the filters nobody knows beforehand, so a few are looked at before many are.
        """
        if not self._is_current:
            size = max(CANDIDATES_MIN, 2 * page.limit)
            while size <= CANDIDATES_MAX and (found := self._in_order(Range(page.order, page.last, size))):
                yield Attempt(self._first(columns, page, found), _count(found), size, in_order=True)
                size *= CANDIDATES_GROWTH
                if self._key is not None and not self._is_by_key(page.order):
                    # What is first in the order may be rare in the filter, which alone may find few.
                    counted = _count(f"{self._every()} LIMIT {size}")
                    yield Attempt(self._sorted(columns, page), counted, size)
        yield Attempt(self._live(columns, page) if self._is_current else self._sorted(columns, page))

    def versions(self, ids: Sequence[UUID]) -> str:
        """The versions that these entities had at the position, tombstones too."""
        asked = f"SELECT unnest({self._parameters.add(list(ids))}::uuid[]) AS id"
        versions = self._versions(asked)
        where = f"c.created_position <= {self._position}"
        return f"SELECT {_list(self._table.columns, self._then)} {versions} WHERE {where}"

    @property
    def _is_current(self) -> bool:
        return not self._is_past or self._table.append_only

    def _live(self, columns: Sequence[Column], page: Page) -> str:
        bound = self._moment.position if self._is_past and page.order.column is None else None
        parts = page.order.parts(of("c"), self._parameters, last=page.last, bound=bound)
        if self._is_past and page.order.column is not None:
            parts = [f"{part} AND {self._was_created()}" for part in parts]
        selects = [f"{self._select_current(columns, [part])} {_cut(page, of('c'))}" for part in parts]
        if len(selects) == 1:
            return selects[0]
        together = " UNION ALL ".join(f"({select})" for select in selects)
        return f"SELECT * FROM ({together}) AS found {_cut(page, bare)}"

    def _was_created(self) -> str:
        return f"c.created_position <= {self._position}"

    def _select_current(self, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        where = [f"c.workspace_id = {self._workspace}"]
        if not self._table.append_only:
            where.append(f"{'' if self._deleted else 'NOT '}c.{DELETED.name}")
        where += [filter_.sql(of("c"), self._parameters) for filter_ in self._filters]
        where += conditions
        return f"SELECT {_list(columns, of('c'))} FROM {self._current} AS c WHERE {' AND '.join(where)}"

    def _in_order(self, asked: Range) -> str | None:
        """The first candidates in the order of the page; None if no index has it."""
        order, key = asked.order, self._key
        if key is not None and self._is_by_key(order):
            return self._candidates.by_key(key.column, value=key, asked=asked)
        if order.column is None or order.column.immutable:
            return self._candidates.by_creation(self._fixed(), asked)
        if order.column.keyed:
            return self._candidates.by_key(order.column, asked=asked)
        return None

    def _is_by_key(self, order: Order) -> bool:
        """Whether the key's candidates come in this order, and no other filter finds fewer."""
        if self._key is None:
            return False
        narrower = any(filter_.column.immutable and _is_equality(filter_) for filter_ in self._filters)
        return order.column == self._key.column or (order.column is None and not narrower)

    def _first(self, columns: Sequence[Column], page: Page, candidates: str) -> str:
        """The page out of candidates that come in its order: no more of them are looked at than it takes."""
        versions = self._versions(candidates, in_order=True)
        return f"SELECT {_list(columns, self._then)} {versions} WHERE {self._held()} {_cut(page, of('k'))}"

    def _sorted(self, columns: Sequence[Column], page: Page) -> str:
        """The page out of all candidates."""
        after = page.order.parts(self._then, self._parameters, last=page.last)
        where = f"{self._held()} AND ({' OR '.join(f'({part})' for part in after)})"
        versions = self._versions(self._every())
        return f"SELECT {_list(columns, self._then)} {versions} WHERE {where} {_cut(page, self._then)}"

    def _every(self) -> str:
        """All candidates, in no order."""
        key = self._key
        return self._candidates.by_key(key.column, value=key) if key else self._candidates.by_creation(self._fixed())

    def _without_versions(self, columns: Sequence[Column], key: Column | None) -> str:
        """Rows of which nothing is asked that needs a version: only what never changes, and the key."""
        fixed = self._fixed()
        gone = f"SELECT FROM ({self._candidates.gone()}) AS gone WHERE gone.id = k.id"
        life = f"{'' if self._deleted else 'NOT '}EXISTS ({gone})"
        if key is None:
            where = [f"k.workspace_id = {self._workspace}", f"k.created_position <= {self._position}", *fixed, life]
            return f"SELECT {_list(columns, of('k'))} FROM {self._current} AS k WHERE {' AND '.join(where)}"
        held = f"({self._candidates.by_key(key, value=self._key)}) AS k"
        values = [filter_.sql(of("k"), self._parameters) for filter_ in self._filters if filter_.column == key]
        if not fixed and all(column == key for column in columns):
            return f"SELECT k.* FROM {held} WHERE {' AND '.join((*values, life))}"
        told = ", ".join(of("k" if column == key else "c")(column) for column in (*columns, ID))
        join = f"JOIN {self._current} AS c ON c.workspace_id = {self._workspace} AND c.id = k.id"
        return f"SELECT {told} FROM {held} {join} WHERE {' AND '.join((*self._fixed('c'), *values, life))}"

    def _fixed(self, alias: str = "k") -> list[str]:
        """What the filters say of columns that never change, and of tags that they were given at some time."""
        fixed = [filter_.sql(of(alias), self._parameters) for filter_ in self._filters if filter_.column.immutable]
        return fixed + [self._was_tagged(alias, filter_) for filter_ in self._filters if _is_tag(filter_)]

    def _was_tagged(self, alias: str, filter_: Filter) -> str:
        tags = filter_.value if isinstance(filter_.value, list) else [filter_.value]
        return (
            f"{alias}.id IN (SELECT t.resource_id FROM {self._schema}.taggings AS t"
            f" WHERE t.workspace_id = {self._workspace} AND t.tag = ANY({self._parameters.add(tags)}::text[])"
            f" AND t.resource_kind = {self._parameters.add(self._table.kind)}"
            f" AND t.created_position <= {self._position})"
        )

    def _held(self) -> str:
        """What the version at the position has to be."""
        life = f"{'' if self._deleted else 'NOT '}{self._then(DELETED)}"
        return " AND ".join([life, *(filter_.sql(self._then, self._parameters) for filter_ in self._filters)])

    def _versions(self, candidates: str, *, in_order: bool = False) -> str:
        """Candidates by id, each with the version that held at the position.

        `in_order`, they are taken one by one: with a LIMIT inside, PostgreSQL has no other way to join.
        """
        row = f"SELECT * FROM {self._current} AS r WHERE r.workspace_id = {self._workspace} AND r.id = k.id"
        current = f"CROSS JOIN LATERAL ({row} LIMIT 1) AS c"
        if not in_order:
            current = f"JOIN {self._current} AS c ON c.workspace_id = {self._workspace} AND c.id = k.id"
        return (
            f"FROM ({candidates}) AS k {current}"
            f" LEFT JOIN LATERAL (SELECT * FROM {self._schema}.{self._table.history} AS v"
            f" WHERE v.workspace_id = c.workspace_id AND v.id = c.id AND c.from_position > {self._position}"
            f" AND v.from_position <= {self._position} ORDER BY v.from_position DESC LIMIT 1) AS h ON true"
        )


def _is_equality(filter_: Filter) -> bool:
    return filter_.column.indexed and filter_.operator == "equals" and not filter_.negated


def _is_keyed(filter_: Filter) -> bool:
    """Whether the intervals of values find it."""
    return filter_.column.keyed and _is_equality(filter_)


def _is_tag(filter_: Filter) -> bool:
    return filter_.column == TAGS and not filter_.negated and filter_.operator in {"equals", "contains", "oneof"}


def _cut(page: Page, expression: Callable[[Column], str]) -> str:
    return f"ORDER BY {page.order.sql(expression)} LIMIT {page.limit}"


def _count(candidates: str) -> str:
    return f"SELECT count(*) AS looked FROM ({candidates}) AS candidates"


def _list(columns: Sequence[Column], expression: Callable[[Column], str]) -> str:
    needed = dict.fromkeys((*columns, CREATED_POSITION, ID))
    return ", ".join(f'{expression(column)} AS "{column.name}"' for column in needed)


def _version_then(table: Table, position: str) -> Callable[[Column], str]:
    """Where a column of the version that held stands: in the current row if it held already, else in the closed one."""

    def expression(column: Column) -> str:
        if column.name in table.immutable_names:
            return of("c")(column)
        return f"CASE WHEN c.from_position <= {position} THEN {of('c')(column)} ELSE {of('h')(column)} END"

    return expression
