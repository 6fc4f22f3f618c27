"""Pages of a list: the order, and the opaque cursor that says after which row the next page begins.

A page begins after a key, never at a count of rows, so that rows which come and go meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from projections.errors import InvalidCursor, InvalidLimit, UnknownField
from projections.filters import filterable
from projections.table import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from projections.filters import Parameters
    from projections.table import Column, Row, Table

LIMIT_MAX = 1_000
ID, CREATED_POSITION = IDENTITY[:2]
CREATED = frozenset({"created", "created_at", CREATED_POSITION.name})
"""Names of the order in which rows came into being."""

UNSORTABLE = frozenset({"json", "text_list"})


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
        self, expression: Callable[[Column], str], parameters: Parameters, *, last: Sequence[Any] | None, bound: str
    ) -> list[str]:
        """The rows that come after the one with this key, all without one: as conditions, of which none overlap.

        An index in this order reads each of them as one range, which no condition for all of them together allows.
        `bound` is an SQL expression that no value exceeds, or empty.
        """
        if self.column is None:
            return [self._beyond([], last, expression, parameters)] if last else ["true"]
        operand = expression(self.column)
        bounded = [f"{operand} <= {bound}"] if bound else []
        if last is None:
            return [" AND ".join(bounded), f"{operand} IS NULL"] if bounded else ["true"]
        value = last[0]
        if value is None:
            tail = f"{operand} IS NULL AND {self._beyond([], last, expression, parameters)}"
            return [tail, " AND ".join(bounded) or f"{operand} IS NOT NULL"] if self.descending else [tail]
        key = [(operand, f"{parameters.add(value)}::{self.column.sql_type}")]
        beyond = " AND ".join([self._beyond(key, last, expression, parameters), *bounded])
        return [beyond] if self.descending else [beyond, f"{operand} IS NULL"]

    def _beyond(
        self,
        key: list[tuple[str, str]],
        last: Sequence[Any],
        expression: Callable[[Column], str],
        parameters: Parameters,
    ) -> str:
        """One comparison of rows, by the key in front and by creation."""
        sign = "<" if self.descending else ">"
        key = [
            *key,
            (expression(CREATED_POSITION), f"{parameters.add(last[1])}::bigint"),
            (expression(ID), f"{parameters.add(last[2])}::uuid"),
        ]
        return f"({', '.join(ours for ours, _ in key)}) {sign} ({', '.join(theirs for _, theirs in key)})"


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
    name, value, position, id_ = decode_cursor(cursor, type_=tuple[str, Any, int, UUID])
    if name != order.name:
        raise InvalidCursor
    return value, position, id_


def encode_cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, *, type_: Any) -> Any:
    """Raises InvalidCursor for what no query of this shape gave out."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=type_)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor from None
