"""`everline status`: what of the system on this machine runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from everline.cli.groups import leaf
from everline.cli.operator import become_operator

app = leaf()


class StatusOutput(StrEnum):
    """How the status is written."""

    TABLE = "table"
    JSON = "json"


@app.command()
def status(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Which system; else EVERLINE_DATA_DIR or your data directory."),
    ] = None,
    form: Annotated[
        StatusOutput, typer.Option("--output", "-o", help="A table for people, JSON for programs.")
    ] = StatusOutput.TABLE,
) -> None:
    """Show what runs, since when and where; exit code 0 when everything does, else 1."""
    become_operator("status", data_dir=data_dir, options={"--output": form.value})
