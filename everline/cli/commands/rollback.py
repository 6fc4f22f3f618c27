"""`everline rollback`: bring entities back to what they were, after seeing what that means."""

from __future__ import annotations

import sys
from typing import Annotated, Any, TextIO

import typer

from everline.cli import output, tables
from everline.cli.completion import complete_entity
from everline.cli.entities import parse_entity
from everline.cli.failures import UsageFailure
from everline.cli.groups import branch
from everline.cli.moments import parse_moment
from everline.cli.parameters import LimitOption, YesOption
from everline.cli.reads import LIST_LIMIT
from everline.cli.references import entity_names, with_names
from everline.cli.session import Session, reading, writing

app = branch("Bring entities back to what they were at an earlier moment. Nothing is erased: a rollback is new events.")

COLUMNS = ("entity", "field", "from", "to")
NOT_UNDONE_COLUMNS = ("entity", "reason")
LIST_COLUMNS = ("created_at", "to_position", "reason", "created_by", "entities", "id")

ToOption = Annotated[str, typer.Option("--to", metavar="MOMENT", help="The moment to go back to.")]
EntitiesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KIND/NAME", help="Only these; everything that changed since, if none.", autocompletion=complete_entity
    ),
]


@app.command()
@writing
def plan(session: Session, to: ToOption, entities: EntitiesArgument = None) -> None:
    """Show what a rollback would change, and what it would leave and why. Changes nothing."""
    planned = read_plan(session, to, entities)
    output.emit(
        session.output,
        planned,
        names=lambda: [item["entity"] for item in planned["entities"]],
        table=lambda: show_plan(session, planned, stream=sys.stdout),
    )


@app.command()
@writing
def apply(
    session: Session,
    to: ToOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")],
    entities: EntitiesArgument = None,
    yes: YesOption = False,
) -> None:
    """Plan a rollback, show the plan, ask, and do it; refused if anything in it changed meanwhile."""
    planned = read_plan(session, to, entities)
    show_plan(session, planned, stream=sys.stderr)
    if not planned["entities"]:
        output.emit(session.output, planned, names=list, table=lambda: None)
        return
    if not yes:
        ask(f"Roll back {len(planned['entities'])} entities to position {planned['to_position']}?")
    applied = session.post(
        "rollbacks/apply",
        {
            "to_position": planned["to_position"],
            "planned_at_position": planned["planned_at_position"],
            "plan_id": planned["plan_id"],
            "entities": [item["entity"] for item in planned["entities"]],
            "reason": reason,
        },
    )
    output.emit(
        session.output,
        applied,
        names=lambda: [str(applied["id"])],
        table=lambda: output.line(f"rolled back to position {planned['to_position']} (rollback {applied['id']})"),
    )


@app.command("list")
@reading
def list_rollbacks(session: Session, limit: LimitOption = LIST_LIMIT) -> None:
    """List the rollbacks that were applied, newest first."""
    output.emit_page(session, session.page("rollbacks", {"limit": limit}), columns=LIST_COLUMNS, what="rollbacks")


def read_plan(session: Session, to: str, entities: list[str] | None) -> dict[str, Any]:
    """The server's plan for the named entities, or for all that changed."""
    parsed = [parse_entity(text) for text in entities or []]
    named = [f"{noun.kind}/{name}" for noun, name in parsed] or None
    return session.post("rollbacks/plan", {"to": parse_moment(to), "entities": named})


def show_plan(session: Session, planned: dict[str, Any], *, stream: TextIO) -> None:
    """The plan for a person: what changes back, and what does not and why."""
    not_undone = planned["not_undone"]
    names = entity_names(session, [item["entity"] for item in (*planned["entities"], *not_undone)])
    items = [({"entity": names[item["entity"]]}, item["changes"]) for item in planned["entities"]]
    for_people = stream.isatty() or stream is sys.stderr
    rows = tables.by_change(items, whole=not for_people)
    if rows:
        tables.show(with_names(session, rows) if for_people else rows, tables.columns(COLUMNS), stream=stream)
    else:
        output.note("nothing to roll back")
    if not_undone:
        output.note("\nnot undone:")
        told = [{**item, "entity": names[item["entity"]]} for item in not_undone]
        tables.show(told, tables.columns(NOT_UNDONE_COLUMNS), stream=sys.stderr)


def ask(question: str) -> None:
    """A yes, or the end of the command; without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        raise UsageFailure("there is no terminal to ask on", hint="--yes applies the plan without asking")
    if not typer.confirm(question, err=True):
        raise typer.Abort
