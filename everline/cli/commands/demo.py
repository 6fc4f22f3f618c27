"""`everline demo`: the whole story on a real pipeline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from everline.cli.groups import leaf

app = leaf()


class DemoOutput(StrEnum):
    """How the demo is told."""

    TABLE = "table"
    JSON = "json"


@app.command()
def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Run in this directory instead of a temporary one; it stays."),
    ] = None,
    form: Annotated[
        DemoOutput, typer.Option("--output", "-o", help="A story for people, one document for programs.")
    ] = DemoOutput.TABLE,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the system running afterwards, to look around in it.")
    ] = False,
) -> None:
    """Run a real pipeline three times, make a mistake, and let the ledger tell and undo it.

    Starts a system of its own and removes it. Exit code 0 only if every check held.
    """
    from everline.demo.performance import perform

    raise typer.Exit(perform(data_dir=data_dir, as_json=form is DemoOutput.JSON, keep=keep))
