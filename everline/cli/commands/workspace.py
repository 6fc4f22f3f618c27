"""`everline workspace`: isolated ledgers."""

from __future__ import annotations

from typing import Annotated

import typer

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
