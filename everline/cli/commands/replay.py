"""`everline replay --verify`: rebuild the query tables from the ledger beside the live ones, and compare."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from everline.cli import cells, output, tables
from everline.cli.exit_codes import ExitCode
from everline.cli.failures import UsageFailure
from everline.cli.groups import leaf
from everline.cli.session import Session, writing

app = leaf()

COLUMNS = ("table", "rows", "equal")


@app.command()
@writing
def replay(
    session: Session,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every table of the replay with the live one.")
    ] = False,
    until: Annotated[
        int | None, typer.Option("--until", metavar="POSITION", min=0, help="Replay only up to here.")
    ] = None,
) -> None:
    """Rebuild the query tables from the ledger into a scratch place and compare; exit code 3 when they differ."""
    if not verify:
        raise UsageFailure("a replay is only done to compare", hint="everline replay --verify [--until POSITION]")
    result = session.post("replay-checks", {"until": until})
    output.emit(session.output, result, names=lambda: [str(result["equal"]).lower()], table=lambda: show(result))
    if not result["equal"]:
        raise typer.Exit(ExitCode.VERIFICATION)


def show(result: dict[str, Any]) -> None:
    """The tables that hold something, then the verdict; or the first difference."""
    rows = [{**row, "equal": row["live"] == row["replayed"]} for row in result["tables"]]
    filled = [row for row in rows if row["rows"] or not row["equal"]]
    tables.show(filled if sys.stdout.isatty() else rows, tables.columns(COLUMNS))
    spent = f"{result['events']} events in {cells.duration(result['seconds'])}"
    if result["equal"]:
        empty = len(rows) - len(filled)
        output.note(f"equal at position {result['position']}: {spent}; {empty} more tables are empty in both")
        return
    output.note(f"different at position {result['position']}: {spent}; the first difference:")
    for key, value in (result["first_difference"] or {}).items():
        output.note(f"  {key:<10}{cells.shown(key, value)}")
