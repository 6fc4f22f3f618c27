"""`everline diff`: what changed in a workspace between two moments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from everline.cli import output
from everline.cli.exit_codes import ExitCode
from everline.cli.groups import leaf
from everline.cli.moments import parse_moment
from everline.cli.parameters import Output
from everline.cli.reads import show_changes
from everline.cli.session import Session, writing

app = leaf()

MomentArgument = Annotated[str, typer.Argument(metavar="MOMENT", help="A position, a time, or an age such as 15m.")]


@app.command()
@writing
def diff(
    session: Session,
    first: MomentArgument,
    second: Annotated[str | None, typer.Argument(metavar="MOMENT", help="The later moment; now unless given.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind of entity, e.g. stack.")] = None,
) -> None:
    """Show what was created, changed and deleted between two moments; exit code 0 when nothing was, 1 otherwise."""
    kind = kind.replace("-", "_") if kind else None
    pages = session.differences(parse_moment(first), parse_moment(second) if second else None, kind=kind)
    if output.emit_in_pages(
        session.output, pages, name=entity_of, table=lambda items: show_changes(session, changed(items))
    ):
        raise typer.Exit(ExitCode.FAILED)
    if session.output is Output.TABLE:
        output.note("no differences")


def changed(items: list[dict[str, Any]]) -> list[tuple[output.Row, list[output.Row]]]:
    return [({"change": item["change"], "entity": entity_of(item)}, told(item)) for item in items]


def told(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields that the table shows: of what came or went it is enough to say so; `-o json` has every field."""
    changes: list[dict[str, Any]] = item["changes"]
    return changes if item["change"] == "changed" else []


def entity_of(item: dict[str, Any]) -> str:
    """`stack/prod`, as other commands take it."""
    return f"{item['kind'].replace('_', '-')}/{item.get('name') or item['id']}"
