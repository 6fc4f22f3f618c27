"""Tables never cut a value and stay parsable in a pipe."""

from __future__ import annotations

import io

from everline.cli import tables

LONG = "a-name-" + "x" * 300


def text_of(rows: list[dict[str, object]], *keys: str) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in tables.aligned(rows, tables.columns(keys))]


def test_columns_are_aligned_and_numbers_stand_to_the_right() -> None:
    rows = [{"name": "a", "run_count": 5, "color": "red"}, {"name": "longer", "run_count": 12, "color": None}]
    assert text_of(rows, "name", "run_count", "color") == [
        "NAME    RUN COUNT  COLOR",
        "a               5  red",
        "longer         12  -",
    ]


def test_nothing_is_cut_however_long() -> None:
    assert LONG in text_of([{"name": LONG, "status": "failed"}], "name", "status")[1]


def test_wide_characters_take_two_cells() -> None:
    lines = text_of([{"name": "模型", "status": "x"}, {"name": "abcd", "status": "y"}], "name", "status")
    assert lines[1:] == ["模型  x", "abcd  y"]


def test_a_status_has_its_style() -> None:
    line = tables.aligned([{"status": "failed"}], tables.columns(["status"]))[1]
    assert ("failed", "red") in line


def test_a_pipe_gets_tabs_keys_and_raw_values() -> None:
    stream = io.StringIO()
    rows = [{"name": "a\tb", "parameters": {"C": 1}, "ended_at": None}]
    tables.show(rows, tables.columns(["name", "parameters", "ended_at"]), stream=stream)
    assert stream.getvalue() == 'name\tparameters\tended_at\na\\tb\t{"C":1}\t\n'


def test_a_dotted_column_reaches_into_a_document() -> None:
    rows = [{"data": {"reason": "haste"}}, {"data": {}}, {}]
    assert text_of(rows, "data.reason") == ["REASON", "haste", "-", "-"]


def test_changes_of_a_mapping_are_told_key_by_key() -> None:
    change = {"field": "components", "from": {"store": "a", "runner": "r"}, "to": {"store": "b", "runner": "r"}}
    created = {"field": "components", "from": None, "to": {"store": "a"}}
    assert tables.by_change([({"entity": "stack/x"}, [change, created])], whole=False) == [
        {"entity": "stack/x", "field": "components.store", "from": "a", "to": "b"},
        created,
    ]


def test_a_row_that_goes_on_is_blank_where_it_repeats_but_whole_for_programs() -> None:
    items = [({"entity": "a"}, [{"field": "x", "from": 1, "to": None}, {"field": "y", "from": 2, "to": 3}])]
    assert text_of(tables.by_change(items, whole=False), "entity", "field", "to") == [
        "ENTITY  FIELD  TO",
        "a       x       -",
        "        y       3",
    ]
    assert [row["entity"] for row in tables.by_change(items, whole=True)] == ["a", "a"]
