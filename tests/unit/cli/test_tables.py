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
