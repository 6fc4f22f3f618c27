"""How the operator's commands speak: colour and tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runners.status import ComponentStatus, Status

STYLES = {
    **dict.fromkeys(("running", "live"), "green"),
    **dict.fromkeys(("starting", "restarting", "rebuilding", "catching_up"), "yellow"),
    **dict.fromkeys(("failed", "orphaned"), "red"),
}
"""Of a program's state and of a projection's. Stopped is red only where it should not be."""


def _console() -> Console:
    """For where the output goes now: a daemon moves it from the terminal into a log."""
    return Console(highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """One line as it is."""
    _console().print(Text(text))


def print_change(row: ComponentStatus) -> None:
    """One line for a component that changed its state."""
    pid = f"pid {row.pid}" if row.pid else ""
    words = [Text(f"{row.name:<10}"), Text(f"{row.state:<10}", STYLES.get(row.state, "")), Text(f"{pid:<11}")]
    _console().print(*words, Text(row.address, "dim"))


def print_status(status: Status, projections: dict[str, Any] | None = None) -> None:
    """What runs, how far the query tables are, and where to point a browser or a client."""
    if not status.components:
        print_line("nothing runs")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "STATE", "PID", "UPTIME", "ADDRESS"):
        table.add_column(heading, overflow="fold")
    for row in status.components:
        table.add_row(row.name, Text(row.state, STYLES.get(row.state, "")), *_details(row))
    _console().print(table)
    if status.failure is not None:
        _console().print(Text(f"error: {status.failure.message} [{status.failure.code}]", "red"))
    if projections is not None:
        _print_projections(projections)
    if status.is_running:
        print_line(f"Everline runs at {status.url}")


def print_json(status: Status, projections: dict[str, Any] | None = None) -> None:
    """The same for programs; `projections` is null when the gateway does not answer."""
    print(json.dumps({**status.as_dict(), "projections": projections}, indent=2))


def _print_projections(found: dict[str, Any]) -> None:
    """The workspaces that need attention most, and why those that stopped did."""
    table = Table(box=None, pad_edge=False)
    for heading in ("WORKSPACE", "QUERY TABLES", "POSITION", "HEAD", "BEHIND", "EVENTS/S"):
        table.add_column(heading, overflow="fold")
    for row in found["items"]:
        behind = f"{row['lag_events']} ({row['lag_seconds']:.1f} s)" if row["lag_events"] else "-"
        state = Text(row["state"].replace("_", " "), STYLES.get(row["state"], ""))
        name = row["workspace"] or row["workspace_id"]
        table.add_row(name, state, str(row["position"]), str(row["head"]), behind, f"{row['events_per_second']:.1f}")
    _console().print(table)
    for row in found["items"]:
        for stop in row["stops"]:
            where = f"{row['workspace'] or row['workspace_id']} stopped at position {stop['position']} ({stop['type']})"
            _console().print(Text(f"{where}: {stop['cause']}", "red"))
    if found["total"] > len(found["items"]):
        print_line(f"{found['total'] - len(found['items'])} more: everline projection list")


def print_rows(rows: Sequence[msgspec.Struct], *, as_json: bool) -> None:
    """Rows of one kind, a column for each field."""
    if as_json:
        print(json.dumps(msgspec.to_builtins(rows), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    names = rows[0].__struct_fields__ if rows else ()
    for name in names:
        table.add_column(name.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(str(getattr(row, name)) for name in names))
    _console().print(table)


def print_rows_json(rows: list[dict[str, object]]) -> None:
    """Rows for programs."""
    print(json.dumps(rows, indent=2))


def print_reports(rows: list[dict[str, object]]) -> None:
    """What was verified, a line for each log; what does not hold, with its first position."""
    for row in rows:
        if not row["is_here"]:
            print_line(f"elsewhere {row['log']}: it was moved to another PostgreSQL; verify it there (--dsn)")
        elif row["code"] is None:
            print_line(f"verified  {row['log']}: {row['events']} entries, sealed up to {row['sealed']}")
        else:
            print_line(f"BROKEN    {row['log']}: {row['detail']} [{row['code']}], first bad position {row['position']}")


def _details(row: ComponentStatus) -> tuple[str, str, str]:
    shown = row.as_dict()
    uptime = "" if shown["uptime_seconds"] is None else str(timedelta(seconds=int(shown["uptime_seconds"])))
    return (str(shown["pid"] or ""), uptime, row.address)
