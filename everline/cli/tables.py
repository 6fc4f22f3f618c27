"""Tables of text that never cut a value: aligned columns for people, tab-separated ones for pipes."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TextIO

from everline.cli import cells

GAP = "  "
STYLES = {
    "cached": "cyan",
    "cancelled": "yellow",
    "completed": "green",
    "changed": "yellow",
    "created": "green",
    "deleted": "red",
    "failed": "red",
    "production": "bold green",
    "retrying": "yellow",
    "running": "bold blue",
    "staging": "blue",
    "stopped": "yellow",
}
STYLED_COLUMNS = frozenset({"status", "stage", "change", "latest_run_status", "state"})


ABSENT = object()
"""The value of a key that a row does not have, as in a row that goes on with the one above it: its cell is blank."""


class Column(NamedTuple):
    """`key` finds the value in a row and says how it is written; `title` is its heading."""

    key: str
    title: str = ""

    @property
    def heading(self) -> str:
        return self.title or cells.heading(self.key)


def columns(keys: Sequence[str]) -> list[Column]:
    """Columns with the headings that their keys suggest."""
    return [Column(key) for key in keys]


def tab_separated(rows: Sequence[dict[str, Any]], shown: Sequence[Column]) -> str:
    """A heading line of keys, then a line per row; tabs and line ends inside values are written as \\t and \\n."""
    lines = ["\t".join(column.key for column in shown)]
    lines += ["\t".join(_cell(row, column.key, cells.raw) for column in shown) for row in rows]
    return "\n".join(lines)


def aligned(rows: Sequence[dict[str, Any]], shown: Sequence[Column]) -> list[list[tuple[str, str]]]:
    """Lines of (text, style) pieces, each padded to its column. A key that a row lacks leaves its cell blank."""
    texts = [[_cell(row, column.key, partial(cells.shown, column.key)) for column in shown] for row in rows]
    headings = [column.heading for column in shown]
    widths = [max(map(width, column), default=0) for column in zip(headings, *texts, strict=True)]
    right = [_is_numeric([value_of(row, column.key) for row in rows]) for column in shown]
    lines = [_line(headings, widths, right=right, styles=["bold"] * len(shown))]
    for text in texts:
        styles = [
            STYLES.get(value, "") if column.key in STYLED_COLUMNS else ""
            for column, value in zip(shown, text, strict=True)
        ]
        lines.append(_line(text, widths, right=right, styles=styles))
    return lines


def value_of(row: Mapping[str, Any], key: str) -> Any:
    """The value under a key, or inside a document under a dotted one: `data.reason`, `parameters.C`."""
    if key in row:
        return row[key]
    outer, dot, inner = key.partition(".")
    if not dot:
        return ABSENT
    document = row.get(outer)
    return value_of(document, inner) if isinstance(document, dict) and inner in document else None


def width(text: str) -> int:
    """The terminal cells that a text takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def show(rows: Sequence[dict[str, Any]], shown: Sequence[Column], *, stream: TextIO | None = None) -> None:
    """Write a table, aligned for a terminal and for stderr, tab-separated into a pipe."""
    stream = stream or sys.stdout
    to_stderr = stream is sys.stderr
    if not stream.isatty() and not to_stderr:
        stream.write(tab_separated(rows, shown) + "\n")
        return
    from everline.cli.terminal import print_lines

    print_lines(aligned(rows, shown), stderr=to_stderr)


def by_change(items: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]], *, whole: bool) -> list[dict[str, Any]]:
    """A row per changed field; what its changes share stands in the first, or in each when rows must be `whole`."""
    return [
        {**(shared if whole or number == 0 else {}), **change}
        for shared, changes in items
        for number, change in enumerate([narrow for change in changes for narrow in narrowed(change)] or [{}])
    ]


def narrowed(change: dict[str, Any]) -> list[dict[str, Any]]:
    """A change of a mapping as one change for each key that differs: `components.artifact_store`."""
    before, after = change.get("from"), change.get("to")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [change]
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [{"field": f"{change['field']}.{key}", "from": before.get(key), "to": after.get(key)} for key in keys]


def _cell(row: Mapping[str, Any], key: str, written: Callable[[Any], str]) -> str:
    value = value_of(row, key)
    return "" if value is ABSENT else written(value)


def _is_numeric(values: Sequence[object]) -> bool:
    present = [value for value in values if value is not None and value is not ABSENT]
    return bool(present) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)


def _line(
    texts: Sequence[str], widths: Sequence[int], *, right: Sequence[bool], styles: Sequence[str]
) -> list[tuple[str, str]]:
    pieces = []
    last = len(texts) - 1
    for number, (text, room, to_the_right, style) in enumerate(zip(texts, widths, right, styles, strict=True)):
        padding = " " * (room - width(text))
        before, after = (padding, "") if to_the_right else ("", padding if number < last else "")
        pieces += [(before, ""), (text, style), (after + (GAP if number < last else ""), "")]
    return [piece for piece in pieces if piece[0]]
