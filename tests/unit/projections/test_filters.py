"""Filters, orders and cursors as people write them, and what is refused with which reason."""

from __future__ import annotations

from uuid import UUID

import pytest

from projections.errors import InvalidCursor, InvalidFilter, InvalidLimit, UnknownField
from projections.filters import ALTERNATIVES_MAX, FILTERS_MAX, Filter, Parameters, parse_filter, parse_filters
from projections.pages import check_limit, cursor_after, last_of, parse_order
from projections.registry import table

RUNS = table("runs")
ROW = {"created_position": 7, "id": UUID(int=1), "name": "b", "duration_seconds": None}


def parse(field: str, text: str) -> tuple[str, bool, object]:
    parsed = parse_filter(RUNS, field, text)
    return parsed.operator, parsed.negated, parsed.value


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("status", "running", ("equals", False, "running")),
        ("status", "equals:a:b", ("equals", False, "a:b")),
        ("name", "10:30", ("equals", False, "10:30")),
        ("status", "notoneof:failed,stopped", ("oneof", True, ["failed", "stopped"])),
        ("status", 'in:["a,b","c"]', ("oneof", False, ["a,b", "c"])),
        ("number", "gte:3", ("gte", False, 3)),
        ("ended_at", "isnull", ("isnull", False, None)),
        ("ended_at", "isnotnull:", ("isnull", True, None)),
        ("parameters.C", "gt:0.5", ("gt", False, ['"0.5"', "0.5"])),
        ("parameters.solver", "lbfgs", ("equals", False, ['"lbfgs"'])),
        ("tags", "contains:prod", ("contains", False, "prod")),
    ],
)
def test_filters_are_read(field: str, text: str, expected: tuple[str, bool, object]) -> None:
    assert parse(field, text) == expected


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("number", "three"),
        ("number", f"{2**70}"),
        ("snapshot_id", "equals:1234"),
        ("started_at", "gt:yesterday"),
        ("started_at", "gt:2026-01-01T00:00:00"),
        ("number", "contains:1"),
        ("tags", "gt:a"),
        ("name", "a\x00b"),
        ("status", "in:[1"),
        ("status", "oneof:" + ",".join("x" * (ALTERNATIVES_MAX + 1))),
    ],
)
def test_bad_values_are_refused(field: str, text: str) -> None:
    with pytest.raises(InvalidFilter):
        parse(field, text)


@pytest.mark.parametrize("field", ["colour", "status.deep", "deleted", "from_position", 'name"; drop table'])
def test_unknown_fields_are_refused_with_the_known_ones(field: str) -> None:
    with pytest.raises(UnknownField) as refused:
        parse(field, "x")
    assert "status" in refused.value.allowed


def test_the_number_of_filters_is_bounded() -> None:
    with pytest.raises(InvalidFilter):
        parse_filters(RUNS, [("name", "x")] * (FILTERS_MAX + 1))


def test_values_are_bound_and_never_spliced() -> None:
    parameters = Parameters()
    condition = parse_filter(RUNS, "name", "'; drop table runs; --").sql(
        lambda column: f'c."{column.name}"', parameters
    )
    assert condition == '(c."name" = %(p0)s::text)'
    assert list(parameters.values()) == ["'; drop table runs; --"]


def test_a_negation_holds_for_what_is_unknown() -> None:
    negated = Filter(RUNS.by_name["reason"], (), "equals", negated=True, value="x")
    assert negated.sql(lambda column: column.name, Parameters()) == "NOT coalesce((reason = %(p0)s::text), false)"


def test_cursors_return_to_the_row_they_stand_after() -> None:
    for sort in (None, "name", "-duration_seconds", "created"):
        order = parse_order(RUNS, sort)
        value = ROW[order.column.name] if order.column else None
        assert last_of(order, cursor_after(order, ROW)) == (value, 7, UUID(int=1))


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "bnVsbA", "WzFd", "\N{SNOWMAN}"])
def test_foreign_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        last_of(parse_order(RUNS, None), cursor)


def test_a_cursor_of_another_order_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        last_of(parse_order(RUNS, "name"), cursor_after(parse_order(RUNS, "-name"), ROW))


@pytest.mark.parametrize("sort", ["colour", "parameters", "-tags", "--name"])
def test_orders_by_what_cannot_be_sorted_are_refused(sort: str) -> None:
    with pytest.raises(UnknownField):
        parse_order(RUNS, sort)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_limits_are_bounded(limit: int) -> None:
    with pytest.raises(InvalidLimit):
        check_limit(limit)
