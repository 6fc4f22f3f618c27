"""`everline up`: start the system on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everline.cli.groups import leaf
from everline.cli.operator import become_operator

app = leaf()


@app.command()
def up(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", metavar="DIR", help="Where everything is kept; else EVERLINE_DATA_DIR or your data directory."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Where the gateway listens; else EVERLINE_PORT or 8237."),
    ] = None,
    wal_archive: Annotated[
        Path | None,
        typer.Option(
            "--wal-archive",
            metavar="DIR",
            help="A directory on another disk that gets every commit before it is acknowledged;"
            " `everline restore DIR` replays it.",
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return as soon as everything runs in the background.")
    ] = False,
) -> None:
    """Start PostgreSQL, NATS, the gateway and the workers; Ctrl-C stops them all. A second `up` says what runs."""
    options = {"--wal-archive": str(wal_archive)} if wal_archive else {}
    become_operator("up", data_dir=data_dir, port=port, options=options, flags={"--detach": detach})
