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
) -> None:
    """Create a workspace; `context set` makes it the one that commands use."""
    body = {"name": name, "description": description or ""}
    emit_receipt(session.output, session.command("create-workspace", body), f"workspace {name} created")
