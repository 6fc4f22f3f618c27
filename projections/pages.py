"""Pages of a list: the order, and the opaque cursor that says after which row the next page begins.

A page begins after a key, never at a count of rows, so that rows which come and go meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from projections.errors import InvalidCursor, InvalidLimit, UnknownField
from projections.filters import BIGINT_MAX, filterable
from projections.table import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from projections.filters import Parameters
    from projections.table import Column, ColumnType, Row, Table

LIMIT_MAX = 1_000
ID, CREATED_POSITION = IDENTITY[:2]
CREATED = frozenset({"created", "created_at", CREATED_POSITION.name})
"""Names of the order in which rows came into being."""

UNSORTABLE = frozenset({"json", "text_list"})

StoredPosition = Annotated[int, msgspec.Meta(ge=0, le=BIGINT_MAX)]
VALUE_TYPES: dict[ColumnType, Any] = {
    "text": str,
    "uuid": UUID,
    "int": Annotated[int, msgspec.Meta(ge=-BIGINT_MAX, le=BIGINT_MAX)],
    "float": float,
    "bool": bool,
    "time": Annotated[datetime, msgspec.Meta(tz=True)],
}
"""What the values of columns are read as from a cursor."""


class Order(NamedTuple):
    """By a column, or by creation; rows with equal values follow by creation. NULL counts as the greatest value."""

    column: Column | None
    descending: bool

    @property
    def name(self) -> str:
        return ("-" if self.descending else "") + (self.column.name if self.column else "created")

    def sql(self, expression: Callable[[Column], str]) -> str:
        direction = "DESC" if self.descending else "ASC"
        columns = (*((self.column,) if self.column else ()), CREATED_POSITION, ID)
        return ", ".join(f"{expression(column)} {direction}" for column in columns)

    def parts(
        self,
        expression: Callable[[Column], str],
        parameters: Parameters,
        *,
        last: Sequence[Any] | None,
        bound: Any = None,
    ) -> list[str]:
        """The rows that come after the one with this key, all without one: as conditions, of which none overlap.

        An index in this order reads each of them as one range, which no condition for all of them together allows.
        No row is beyond `bound`: a value of the column, or a position of creation in the order of creation.
        """
        first = expression(self.column or CREATED_POSITION)
        type_ = (self.column or CREATED_POSITION).sql_type
        limit = [f"{first} <= {parameters.add(bound)}::{type_}"] if bound is not None else []
        unknown = [f"{first} IS NULL"] if self.column else []
        known = limit or ([f"{first} IS NOT NULL"] if self.column else ["true"])
        if last is None:
            return known + unknown if limit else ["true"]
        value = last[0] if self.column else last[1]
        beyond = self._beyond(last, expression, parameters)
        if value is None:
            tail = f"{first} IS NULL AND {beyond}"
            return [tail, *known] if self.descending else [tail]
        if self.descending:
            # One upper limit alone: PostgreSQL may begin at the higher one of two.
            return known if limit and value > bound else [beyond]
        return [" AND ".join([beyond, *limit]), *unknown]

    def _beyond(self, last: Sequence[Any], expression: Callable[[Column], str], parameters: Parameters) -> str:
        """One comparison of rows: by the value, if there is one, and by creation."""
        sign = "<" if self.descending else ">"
        columns = [CREATED_POSITION, ID]
        if self.column is not None and last[0] is not None:
            columns = [self.column, *columns]
        theirs = [
            f"{parameters.add(value)}::{column.sql_type}"
            for column, value in zip(columns, last[-len(columns) :], strict=True)
        ]
        return f"({', '.join(map(expression, columns))}) {sign} ({', '.join(theirs)})"


NEWEST_FIRST = Order(None, descending=True)


def parse_order(table: Table, sort: str | None) -> Order:
    """`name` or `-name`. Raises UnknownField."""
    if sort is None:
        return NEWEST_FIRST
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name in CREATED:
        return Order(None, descending)
    sortable = {known: column for known, column in filterable(table).items() if column.type not in UNSORTABLE}
    if name not in sortable:
        raise UnknownField(table.name, name, allowed=["created", *sortable])
    return Order(sortable[name], descending)


def check_limit(limit: int) -> int:
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidLimit(limit, limit_max=LIMIT_MAX)
    return limit


def cursor_after(order: Order, row: Row) -> str:
    """The cursor of the page that follows a row."""
    value = row[order.column.name] if order.column else None
    return encode_cursor([order.name, value, row[CREATED_POSITION.name], row[ID.name]])


def last_of(order: Order, cursor: str) -> tuple[Any, int, UUID]:
    """The key of the row that a cursor stands after. Raises InvalidCursor, also for one of another order."""
    name, value, position, id_ = decode_cursor(cursor, type_=tuple[str, Any, StoredPosition, UUID])
    if name != order.name:
        raise InvalidCursor
    if order.column is None or value is None:
        return None, position, id_
    try:
        return msgspec.convert(value, type=VALUE_TYPES[order.column.type], strict=False), position, id_
    except msgspec.ValidationError:
        raise InvalidCursor from None


def encode_cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, *, type_: Any) -> Any:
    """Raises InvalidCursor for what no query of this shape gave out."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=type_)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor from None
