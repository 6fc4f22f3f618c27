"""`everline projection`: how far the query tables are, what stopped, and making tables anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from everline.cli import output, tables
from everline.cli.groups import branch
from everline.cli.session import Session, writing

app = branch("How far the query tables are behind the ledger; make them anew.")

COLUMNS = ("workspace", "state", "position", "head", "lag_events", "lag_seconds", "events_per_second")


@app.command("list")
@writing
def list_(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many.")] = 100,
) -> None:
    """Every workspace: what is stopped first, then what is furthest behind."""
    page = session.get_root("projections", {"limit": limit})
    output.emit(
        session.output,
        page,
        names=lambda: [_name(row) for row in page["items"]],
        table=lambda: tables.show([{**row, "workspace": _name(row)} for row in page["items"]], tables.columns(COLUMNS)),
    )
    for row in page["items"]:
        for remark in remarks(row):
            output.note(f"{_name(row)}: {remark}")
    if page["total"] > len(page["items"]):
        output.note(f"the first {len(page['items'])} of {page['total']}; --limit N shows more")


@app.command()
@writing
def show(session: Session) -> None:
    """One workspace, and what is wrong with it if anything is."""
    found = session.get_timeless("projection")
    output.emit(
        session.output,
        found,
        names=lambda: [found["state"]],
        table=lambda: output.facts({key: found[key] for key in COLUMNS}),
    )
    for remark in remarks(found):
        output.note(remark)


@app.command()
@writing
def rebuild(
    session: Session,
    projection: Annotated[
        str | None, typer.Argument(metavar="[PROJECTION]", help="A kind such as run, or a table; else all of them.")
    ] = None,
) -> None:
    """Make tables anew from the ledger, beside the live ones, which serve until the new ones take their place."""
    ordered = session.post("projection/rebuilds", {"projection": projection})
    names = ordered["tables"]
    output.emit(
        session.output,
        ordered,
        names=lambda: names,
        table=lambda: output.line(f"a rebuild of {', '.join(names)} is ordered; `projection show` says how far it is"),
    )


def remarks(row: dict[str, Any]) -> list[str]:
    """What a person should know of a workspace's projection beyond its numbers."""
    found = [
        f"stopped{' a rebuild' if stop['rebuilding'] else ''} at position {stop['position']} ({stop['type']}):"
        f" {stop['cause']}; {stop['attempts']} attempts since {stop['since']}"
        for stop in row["stops"]
    ]
    if row["rebuild"]:
        work = row["rebuild"]
        found.append(f"rebuilding {', '.join(work['tables'])}: at {work['position']}, ordered by {work['ordered_by']}")
    return found


def _name(row: dict[str, Any]) -> str:
    return str(row["workspace"] or row["workspace_id"])
