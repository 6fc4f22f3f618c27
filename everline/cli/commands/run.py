"""`everline run`: logs of runs, and two runs side by side."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everline.cli import cells, output, tables
from everline.cli.comparing import compare as compare_sides
from everline.cli.completion import completing
from everline.cli.parameters import Ref
from everline.cli.reads import reads_of
from everline.cli.session import Session, reading, writing

app = reads_of("run")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run.", autocompletion=completing("runs"))]


@app.command()
@writing
def logs(
    session: Session,
    ref: Ref,
    step: Annotated[str | None, typer.Argument(metavar="STEP", help="Only this step.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
) -> None:
    """Print what the steps of a run wrote; with several steps each line starts with its step."""
    from everline.cli.logs import print_logs

    print_logs(session, ref, step=step, follow=follow)


@app.command()
@reading
def compare(
    session: Session,
    first: RunArgument,
    second: RunArgument,
    only_diff: Annotated[bool, typer.Option("--only-diff", help="Leave out what is the same.")] = False,
) -> None:
    """Compare two runs: parameters, metadata, and the status, duration and outputs of each step."""
    from everline.cli.sides import read_side

    left, right = read_side(session, first), read_side(session, second)
    rows = [row for row in compare_sides(left, right) if row["differs"] or not only_diff]
    shown = [tables.Column("section"), tables.Column("field"), *named(left.run["name"], right.run["name"])]
    document = {"a": left.run["name"], "b": right.run["name"], "items": rows}
    output.emit(
        session.output,
        document,
        names=lambda: [row["field"] for row in rows],
        table=lambda: (
            tables.show([readable(row) for row in rows] if sys.stdout.isatty() else rows, shown)
            if rows
            else output.note("no differences")
        ),
    )


def named(first: str, second: str) -> list[tables.Column]:
    """The columns of the two runs, headed by their names."""
    return [tables.Column("a", first), tables.Column("b", second)]


def readable(row: output.Row) -> output.Row:
    """The values as the field's own ending says they read: durations, sizes."""
    return {**row, **{side: cells.shown(row["field"], row[side]) for side in ("a", "b")}}
