"""`everline workspace`: isolated ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everline.cli.operator import become_operator
from everline.cli.output import emit_receipt
from everline.cli.parameters import DescriptionOption
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("workspace")


@app.command()
@writing
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    description: DescriptionOption = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="ALIAS", help="Which PostgreSQL it lives on; else the home, main.")
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option("--schema", metavar="POOL", help="Share a schema with other small workspaces: pool, pool_..."),
    ] = None,
) -> None:
    """Create a workspace; `context set` makes it the one that commands use."""
    body = {"name": name, "description": description or ""}
    body |= {key: value for key, value in (("alias", on), ("pool_schema", schema)) if value is not None}
    emit_receipt(session.output, session.command("create-workspace", body), f"workspace {name} created")


@app.command()
def move(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")],
    to: Annotated[str, typer.Option("--to", metavar="ALIAS", help="The PostgreSQL that it moves to.")],
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="POOL", help="Share a schema there: pool, pool_...")
    ] = None,
    drop_source: Annotated[
        bool, typer.Option("--drop-source", help="Delete what it leaves, instead of keeping it read-only.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Whose home PostgreSQL, unless EVERLINE_DSN names it."),
    ] = None,
) -> None:
    """Move a workspace to another PostgreSQL while it is written to; for operators."""
    options = {"--workspace": name, "--to": to} | ({"--schema": schema} if schema else {})
    become_operator("move", data_dir=data_dir, options=options, flags={"--drop-source": drop_source})
