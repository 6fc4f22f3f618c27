"""`everline down`: stop the system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everline.cli.groups import leaf
from everline.cli.operator import become_operator

app = leaf()


@app.command()
def down(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Which system; else EVERLINE_DATA_DIR or your data directory."),
    ] = None,
) -> None:
    """Stop everything that runs from a data directory; the data stays."""
    become_operator("down", data_dir=data_dir)
