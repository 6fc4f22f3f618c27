"""Filters as people write them, `status=oneof:running,failed`: parsed, typed by their column, and turned into SQL.

A condition never evaluates to NULL in effect: what is not known to match does not, and its negation does.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from projections.errors import InvalidFilter, UnknownField

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from projections.table import Column, ColumnType, Table

NEGATIONS = {
    "notequals": "equals",
    "notcontains": "contains",
    "notoneof": "oneof",
    "isnotnull": "isnull",
}
SYNONYMS = {"in": "oneof"}
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
ALWAYS = frozenset({"equals", "oneof", "isnull"})
TEXT_ONLY = frozenset({"contains", "startswith", "endswith"})
OPERATORS = ALWAYS | TEXT_ONLY | COMPARISONS.keys() | NEGATIONS.keys() | SYNONYMS.keys()
"""Every operator there is; which ones a column takes depends on its type."""

ALLOWED: dict[ColumnType, frozenset[str]] = {
    "text": ALWAYS | TEXT_ONLY | COMPARISONS.keys(),
    "uuid": ALWAYS | COMPARISONS.keys(),
    "int": ALWAYS | COMPARISONS.keys(),
    "float": ALWAYS | COMPARISONS.keys(),
    "bool": ALWAYS,
    "time": ALWAYS | COMPARISONS.keys(),
    "json": ALWAYS | TEXT_ONLY | COMPARISONS.keys(),
    "text_list": frozenset({"equals", "contains", "oneof", "isnull"}),
}

FILTERS_MAX = 20
ALTERNATIVES_MAX = 500
BIGINT_MAX = 2**63 - 1
VALUELESS = frozenset({"isnull", "isnotnull"})

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Parameters(dict[str, Any]):
    """The values of a statement, by placeholder."""

    def add(self, value: object) -> str:
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


class Filter(NamedTuple):
    """One condition on a column, or on the part of a document that `path` leads to."""

    column: Column
    path: tuple[str, ...]
    operator: str
    negated: bool
    value: Any

    def sql(self, expression: Callable[[Column], str], parameters: Parameters) -> str:
        """`expression` says where a column's value stands in the statement."""
        operand = expression(self.column)
        match self.column.type:
            case "json":
                condition = _document_sql(self, operand, parameters)
            case "text_list":
                condition = _list_sql(self, operand, parameters)
            case _:
                condition = _scalar_sql(self, operand, parameters)
        return f"NOT coalesce(({condition}), false)" if self.negated else f"({condition})"


def parse_filters(table: Table, pairs: Iterable[tuple[str, str]]) -> list[Filter]:
    """Raises UnknownField or InvalidFilter."""
    filters = [parse_filter(table, field, text) for field, text in pairs]
    if len(filters) > FILTERS_MAX:
        raise InvalidFilter(filters[-1].column.name, "…", reason=f"at most {FILTERS_MAX} filters at once")
    return filters


def parse_filter(table: Table, field: str, text: str) -> Filter:
    name, *path = field.split(".")
    column = filterable(table).get(name)
    if column is None or (path and column.type != "json"):
        raise UnknownField(table.name, field, allowed=filterable(table))
    operator, value = _split(text)
    negated = operator in NEGATIONS
    operator = NEGATIONS.get(operator, SYNONYMS.get(operator, operator))
    if operator not in ALLOWED[column.type]:
        allowed = ", ".join(sorted(ALLOWED[column.type]))
        raise InvalidFilter(field, text, reason=f"a {column.type} takes {allowed} and their negations")
    try:
        parsed = _parse(column.type, operator, value)
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidFilter(field, text, reason=str(error) or f"not a {column.type}") from None
    return Filter(column, tuple(path), operator, negated, parsed)


def filterable(table: Table) -> dict[str, Column]:
    """The columns that filters and sorts may name."""
    return {column.name: column for column in table.shown()}


def _split(text: str) -> tuple[str, str]:
    """A text without an operator in front is a value to be equal to."""
    operator, colon, value = text.partition(":")
    if operator in OPERATORS and (colon or operator in VALUELESS):
        return operator, value
    return "equals", text


def _parse(type_: ColumnType, operator: str, text: str) -> Any:
    if "\x00" in text:
        raise ValueError("text with a NUL character matches nothing")
    if operator == "isnull":
        return None
    if operator == "oneof":
        return [_parse_one(type_, item) for item in _alternatives(text)]
    if operator in TEXT_ONLY and type_ == "json":
        return text
    return _parse_one(type_, text)


def _alternatives(text: str) -> list[str]:
    """A JSON list, or values separated by commas."""
    items = text.split(",")
    if text.startswith("["):
        items = [
            item if isinstance(item, str) else msgspec.json.encode(item).decode()
            for item in msgspec.json.decode(text, type=list[Any])
        ]
    if len(items) > ALTERNATIVES_MAX:
        raise ValueError(f"at most {ALTERNATIVES_MAX} alternatives")
    return items


def _parse_one(type_: ColumnType, text: str) -> Any:
    match type_:
        case "text" | "text_list":
            return text
        case "uuid":
            return UUID(text)
        case "int":
            number = int(text)
            if abs(number) > BIGINT_MAX:
                raise ValueError("beyond 64 bits")
            return number
        case "float":
            return float(text)
        case "bool":
            return msgspec.convert(text, bool, strict=False)
        case "time":
            return msgspec.convert(text, type=_Time)
        case "json":
            return _documents(text)


def _documents(text: str) -> list[str]:
    """What a text may mean inside a document: the text itself, and the JSON value that it spells."""
    as_text = msgspec.json.encode(text).decode()
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [as_text]
    return [as_text, text]


def _scalar_sql(filter_: Filter, operand: str, parameters: Parameters) -> str:
    type_ = filter_.column.sql_type
    match filter_.operator:
        case "isnull":
            return f"{operand} IS NULL"
        case "oneof":
            return f"{operand} = ANY({parameters.add(filter_.value)}::{type_}[])"
        case "contains" | "startswith" | "endswith":
            return _text_sql(filter_.operator, operand, f"{parameters.add(filter_.value)}::text")
        case operator:
            sign = COMPARISONS.get(operator, "=")
            return f"{operand} {sign} {parameters.add(filter_.value)}::{type_}"


def _list_sql(filter_: Filter, operand: str, parameters: Parameters) -> str:
    match filter_.operator:
        case "isnull":
            return f"cardinality({operand}) = 0"
        case "oneof":
            return f"{operand} && {parameters.add(filter_.value)}::text[]"
        case _:
            return f"{operand} @> ARRAY[{parameters.add(filter_.value)}::text]"


def _document_sql(filter_: Filter, operand: str, parameters: Parameters) -> str:
    part = f"({operand} #> {parameters.add(list(filter_.path))}::text[])" if filter_.path else operand
    match filter_.operator:
        case "isnull":
            return f"coalesce({part}, 'null') = 'null'"
        case "oneof":
            documents = [document for item in filter_.value for document in item]
            return f"{part} = ANY({parameters.add(documents)}::jsonb[])"
        case "equals":
            return f"{part} = ANY({parameters.add(filter_.value)}::jsonb[])"
        case "contains" | "startswith" | "endswith":
            return _text_sql(filter_.operator, f"({part} #>> '{{}}')", f"{parameters.add(filter_.value)}::text")
        case operator:
            bound = f"{parameters.add(filter_.value[-1])}::jsonb"
            # A CASE, because the planner would take the two conditions for far rarer than they are.
            same_type = f"jsonb_typeof({part}) = jsonb_typeof({bound})"
            return f"CASE WHEN {same_type} THEN {part} {COMPARISONS[operator]} {bound} ELSE false END"


def _text_sql(operator: str, operand: str, text: str) -> str:
    match operator:
        case "contains":
            return f"strpos({operand}, {text}) > 0"
        case "startswith":
            return f"starts_with({operand}, {text})"
        case _:
            return f"right({operand}, length({text})) = {text}"
