"""What the client knows of the tables: `everline/tables.py`, written by `make api` from the projections' declarations.

The client imports none of the server's rooms, so it carries this list; a test fails when it no longer fits.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from commands.registry import is_control
from gateway.query_routes import public_tables

TARGET = Path(__file__).parents[1] / "everline" / "tables.py"
HEAD = '''"""The tables of the HTTP API, made by `make api` from the projections' declarations: do not edit.

`columns` are what the command line lists; a table without a `summary` has no noun of its own there.
"""

from __future__ import annotations

from typing import NamedTuple


class KnownTable(NamedTuple):
    """One table: its kind, its path in the HTTP API, and whether it lies in the control ledger."""

    kind: str
    path: str
    control: bool = False
    columns: tuple[str, ...] = ()
    summary: str = ""


TABLES = (
'''


def source() -> str:
    """The text of the client's list."""
    rows = [
        f"    KnownTable({table.kind!r}, {table.name.replace('_', '-')!r}, control={is_control(table.kind)!r},"
        f" columns={table.listed!r}, summary={table.summary!r}),\n"
        for table in sorted(public_tables().values(), key=lambda table: table.name)
    ]
    return formatted(HEAD + "".join(rows) + ")\n")


def formatted(text: str) -> str:
    """As `make check` wants it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
