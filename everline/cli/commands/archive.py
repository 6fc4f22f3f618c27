"""`everline archive`: old positions in an object store, where every read still finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everline.cli.moments import parse_moment
from everline.cli.operator import become_operator
from everline.cli.reads import reads_of

app = reads_of("archive")

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where everything is kept; else EVERLINE_DATA_DIR or your data directory."
    ),
]


@app.command()
def create(
    before: Annotated[
        str, typer.Option("--before", metavar="MOMENT", help="What was recorded before this moment is archived.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="URL", help="file:///directory or s3://bucket/prefix.")],
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Which workspace.")] = "default",
    data_dir: DataDirOption = None,
) -> None:
    """Move old positions to an object store; lists, as-of, replay, export and verify go on reading them there."""
    options = {"--workspace": workspace, "--before": parse_moment(before), "--to": to}
    become_operator("archive", data_dir=data_dir, options=options)


@app.command()
def restore(
    archive_id: Annotated[str, typer.Argument(metavar="ID", help="The archive, or the beginning of its id.")],
    data_dir: DataDirOption = None,
) -> None:
    """Put an archive's positions back into the ledger, byte for byte; the newest first."""
    become_operator("restore-archive", data_dir=data_dir, options={"--archive": archive_id})
