"""`everline events`: the ledger itself. Who did what, when."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from everline.cli import cells, output, tables
from everline.cli.completion import complete_entity
from everline.cli.entities import resolve_entity
from everline.cli.groups import branch
from everline.cli.moments import parse_moment
from everline.cli.parameters import AllOption, ColumnsOption, LimitOption, Output
from everline.cli.reads import LIST_LIMIT, chosen
from everline.cli.session import Session, reading, writing

app = branch("Who changed what, when: the ledger itself.")

COLUMNS = ("position", "recorded_at", "actor", "type", "entity_name", "data.reason")

ActorOption = Annotated[str | None, typer.Option("--actor", help="Only what this actor did.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only this event type, or a group: run.*")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only events of this kind of entity, e.g. stack.")]
EntityOption = Annotated[
    str | None,
    typer.Option("--entity", metavar="KIND/NAME", help="Only events of this entity.", autocompletion=complete_entity),
]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="MOMENT", help="From this moment on.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="MOMENT", help="Up to this moment.")]


@app.command("list")
@reading
def list_events(
    session: Session,
    actor: ActorOption = None,
    event_type: TypeOption = None,
    kind: KindOption = None,
    entity: EntityOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = LIST_LIMIT,
    every: AllOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List events, newest first."""
    asked = filters(session, actor=actor, event_type=event_type, kind=kind, entity=entity) | times(since, until)
    page = session.every("events", asked) if every else session.page("events", {**asked, "limit": limit})
    output.emit_page(session, page, columns=chosen(columns) or COLUMNS, what="events")


@app.command()
@writing
def tail(
    session: Session,
    actor: ActorOption = None,
    event_type: TypeOption = None,
    kind: KindOption = None,
    entity: EntityOption = None,
    after: Annotated[
        int | None, typer.Option("--after", metavar="POSITION", help="Start after this position, not now.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after this many.")] = None,
) -> None:
    """Follow events as they are recorded, until Ctrl-C; resumes by itself when the connection breaks."""
    wanted = filters(session, actor=actor, event_type=event_type, kind=kind, entity=entity)
    seen = 0
    for event in session.follow(after):
        if not matches(event, wanted):
            continue
        write_event(session.output, event)
        seen += 1
        if seen == count:
            return


@app.command()
@writing
def show(
    session: Session,
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="Its position in the ledger.")],
) -> None:
    """Show one event with all that it says."""
    output.emit_entity(session, session.get_timeless(f"events/{position}"))


def filters(
    session: Session, *, actor: str | None, event_type: str | None, kind: str | None, entity: str | None
) -> dict[str, str]:
    """The query parameters for whose, which and of what."""
    asked = {"actor": actor, "type": event_type, "kind": kind.replace("-", "_") if kind else None}
    if entity:
        asked["entity"] = "/".join(resolve_entity(session, entity))
    return {key: value for key, value in asked.items() if value is not None}


def times(since: str | None, until: str | None) -> dict[str, str]:
    """The query parameters for when."""
    asked = {"since": since, "until": until}
    return {key: parse_moment(value) for key, value in asked.items() if value is not None}


def matches(event: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Whether an event of the live stream passes the filters that the list would apply on the server."""
    stream = str(event["stream"])
    event_type = wanted.get("type", "*")
    return (
        event["actor"] == wanted.get("actor", event["actor"])
        and stream.partition("/")[0] == wanted.get("kind", stream.partition("/")[0])
        and stream == wanted.get("entity", stream)
        and (event["type"] == event_type or (event_type.endswith("*") and event["type"].startswith(event_type[:-1])))
    )


def write_event(form: Output, event: dict[str, Any]) -> None:
    """One line per event as it comes; JSON and YAML are one document per line."""
    match form:
        case Output.JSON | Output.YAML:
            sys.stdout.write(cells.raw(event) + "\n")
        case Output.NAME:
            sys.stdout.write(f"{event['position']}\n")
        case Output.TABLE:
            row = {"summary": event.get("data"), **event}
            shown = cells.raw if not sys.stdout.isatty() else None
            values = [
                shown(row.get(key)) if shown else cells.shown(key, row.get(key)) for key in (*TAIL_COLUMNS, "summary")
            ]
            sys.stdout.write(("\t" if shown else tables.GAP).join(values) + "\n")
    sys.stdout.flush()


TAIL_COLUMNS = ("position", "recorded_at", "actor", "type", "stream")
