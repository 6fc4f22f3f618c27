"""The operator's commands: `python -P -m runners up | down | status | migrate | move | ...`.

This is the composition root: settings are read here, once, and passed down. Each command imports what it needs.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.archive.errors import ArchiveError
from ledger.errors import KeyUnusable
from ledger.proof_errors import ProofError
from runners import programs
from runners.backup import commands as backup_commands
from runners.errors import RunnerError
from runners.settings import (
    PORT,
    ArchiveSettings,
    PlacementSettings,
    SupervisorSettings,
    default_data_dir,
)

EXIT_NOT_RUNNING = 1
EXIT_NOT_VERIFIED = 3


class OutputFormat(StrEnum):
    """How `status` answers."""

    TABLE = "table"
    JSON = "json"


DataDir = Annotated[
    Path,
    typer.Option(
        help="Where everything is kept.",
        readable=False,  # ours to say, with its code
        envvar="EVERLINE_DATA_DIR",
        default_factory=default_data_dir,
        show_default="the user's data directory",
    ),
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Where the gateway listens.", envvar="EVERLINE_PORT")]
Detach = Annotated[bool, typer.Option("--detach", help="Return as soon as everything runs in the background.")]
Bootstrap = Annotated[bool, typer.Option("--bootstrap", help="Also make the default workspace and its stack.")]
WalArchive = Annotated[
    Path | None,
    typer.Option(
        help="A directory on another disk that has every commit too before it is acknowledged.",
        envvar="EVERLINE_WAL_ARCHIVE",
    ),
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="A table for people, JSON for programs.")]

Workspace = Annotated[str, typer.Option(help="Which workspace, by name or id.")]
Before = Annotated[str, typer.Option(metavar="MOMENT", help="A position, which stays, or an RFC 3339 time.")]
Destination = Annotated[str, typer.Option("--to", metavar="URL", help="file:///directory or s3://bucket/prefix.")]
ArchiveId = Annotated[str, typer.Option("--archive", metavar="ID", help="The archive, or the beginning of its id.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(backup_commands.app, name="backup")
app.command()(backup_commands.restore)


@app.command()
def up(data_dir: DataDir, port: Port = PORT, detach: Detach = False, wal_archive: WalArchive = None) -> None:
    """Start PostgreSQL, NATS, the gateway and the runners in one data directory."""
    from runners import lifecycle, presentation

    start = lifecycle.up_detached if detach else lifecycle.up
    running = start(SupervisorSettings(data_dir, port, wal_archive), presentation.print_change)
    if running is not None:
        presentation.print_status(running)


@app.command()
def down(data_dir: DataDir) -> None:
    """Stop everything that runs from a data directory."""
    from runners import lifecycle, presentation

    stopped = lifecycle.down(data_dir)
    presentation.print_line("stopped" if stopped else f"nothing runs in {data_dir}")


@app.command()
def status(data_dir: DataDir, output: Output = OutputFormat.TABLE) -> None:
    """Show what runs; the exit status is 0 when everything does, else 1."""
    from runners import lifecycle, presentation
    from runners.projections_shown import read_projections

    found = lifecycle.status(data_dir)
    projections = read_projections(found.url if found.is_running else None)
    if output is OutputFormat.JSON:
        presentation.print_json(found, projections)
    else:
        presentation.print_status(found, projections)
    if not found.is_running:
        raise typer.Exit(EXIT_NOT_RUNNING)


@app.command()
def verify(
    data_dir: DataDir,
    dsn: Annotated[
        str | None, typer.Option(help="Another database than the directory's.", envvar="EVERLINE_DSN")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The deployment's key as it is known from elsewhere.")] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Hash every event again and hold it against everything that was sealed; the exit status is 3 on a difference."""
    from runners import presentation
    from runners.verification import as_row, verify_data_directory

    rows = [as_row(report) for report in verify_data_directory(data_dir, dsn=dsn, key=key)]
    if output is OutputFormat.JSON:
        presentation.print_rows_json(rows)
    else:
        presentation.print_reports(rows)
    if any(row["code"] for row in rows):
        raise typer.Exit(EXIT_NOT_VERIFIED)


@app.command()
def migrate(bootstrap: Bootstrap = False) -> None:
    """Bring the databases at EVERLINE_OWNER_DSN and EVERLINE_OWNER_DSNS to this program's schema."""
    if bootstrap:
        programs.prepare()
    else:
        programs.migrate()


@app.command()
def move(
    data_dir: DataDir,
    workspace: Annotated[str, typer.Option(help="The workspace's name or id.")],
    to: Annotated[str, typer.Option(help="The alias of the PostgreSQL that it moves to.")],
    schema: Annotated[str | None, typer.Option(help="The pool schema of its query tables there.")] = None,
    drop_source: Annotated[
        bool, typer.Option("--drop-source", help="Delete what it leaves, once it is there.")
    ] = False,
) -> None:
    """Move a workspace to another PostgreSQL while it is written to."""
    from runners import operating

    operating.move(
        data_dir, programs.settings(PlacementSettings), workspace, to=to, schema=schema, drop_source=drop_source
    )


@app.command()
def placements(data_dir: DataDir, output: Output = OutputFormat.TABLE) -> None:
    """Show every PostgreSQL and what lives on it."""
    from runners import operating

    operating.show_placements(data_dir, programs.settings(PlacementSettings), as_json=output is OutputFormat.JSON)


@app.command()
def drop(
    data_dir: DataDir,
    workspace: Annotated[str, typer.Option(help="The workspace's name or id.")],
    on: Annotated[str, typer.Option(help="The alias of the PostgreSQL that it has left.")],
) -> None:
    """Delete what a move has left of a workspace."""
    from runners import operating

    operating.drop(data_dir, programs.settings(PlacementSettings), workspace, on=on)


for program in (programs.relay, programs.projector, programs.sealer):
    app.command()(program)


@app.command()
def archive(data_dir: DataDir, workspace: Workspace, before: Before, to: Destination) -> None:
    """Move old positions of a workspace to an object store, where every read still finds them."""
    from runners import archive_command, presentation

    for made in archive_command.archive(_archive_settings(data_dir), workspace, before=before, url=to):
        presentation.print_line(f"archived positions {made.first_position} to {made.last_position} as {made.id}")


@app.command("restore-archive")
def restore_archive(data_dir: DataDir, archive_id: ArchiveId) -> None:
    """Put the positions of an archive back into the ledger."""
    from runners import archive_command, presentation

    restored = archive_command.restore(_archive_settings(data_dir), archive_id)
    presentation.print_line(f"restored positions {restored.first_position} to {restored.last_position}")


def _archive_settings(data_dir: Path) -> ArchiveSettings:
    """From the environment, or of what runs from the data directory."""
    if "EVERLINE_OWNER_DSN" in os.environ:
        return programs.settings(ArchiveSettings)
    from runners.data_directory import DataDirectory
    from runners.embedded import APP, DATABASE, OWNER, EmbeddedPostgres

    directory = DataDirectory(data_dir)
    directory.check()
    postgres = EmbeddedPostgres(directory.root)
    return ArchiveSettings(
        dsn=postgres.dsn(APP, DATABASE), owner_dsn=postgres.dsn(OWNER, DATABASE), keys=directory.keys
    )


def main() -> None:
    """Run one command; an error that we know is one line and an exit status, not a traceback."""
    try:
        app()
    except (RunnerError, KeyUnusable, ArchiveError, ProofError) as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        sys.exit(error.exit_status if isinstance(error, RunnerError) else RunnerError.exit_status)


if __name__ == "__main__":
    main()
