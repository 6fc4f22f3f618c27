"""`everline placement`: the PostgreSQLs that workspaces live on. For operators: it asks them directly."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from everline.cli.groups import branch
from everline.cli.operator import become_operator

app = branch("The PostgreSQLs that workspaces live on.")

DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Whose home PostgreSQL, unless EVERLINE_DSN names it."),
]


class PlacementOutput(StrEnum):
    """How the list is written."""

    TABLE = "table"
    JSON = "json"


@app.command("list")
def list_(
    data_dir: DataDirOption = None,
    form: Annotated[
        PlacementOutput, typer.Option("--output", "-o", help="A table for people, JSON for programs.")
    ] = PlacementOutput.TABLE,
) -> None:
    """Show every PostgreSQL, whether it answers, and what lives on it."""
    become_operator("placements", data_dir=data_dir, options={"--output": form.value})


@app.command()
def drop(
    workspace: Annotated[str, typer.Argument(metavar="WORKSPACE", help="Its name or id.")],
    on: Annotated[str, typer.Option("--on", metavar="ALIAS", help="The PostgreSQL that it has left.")],
    data_dir: DataDirOption = None,
) -> None:
    """Delete what a move has left of a workspace; needs the owner's DSN."""
    become_operator("drop", data_dir=data_dir, options={"--workspace": workspace, "--on": on})
