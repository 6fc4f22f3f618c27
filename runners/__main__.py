"""The operator's commands: `python -P -m runners up | down | status | migrate | relay | projector | sealer`.

This is the composition root: settings are read here, once, and passed down. Each command imports what it needs.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import KeyUnusable
from runners.errors import RunnerError
from runners.settings import (
    PORT,
    MigrationSettings,
    SealerSettings,
    Settings,
    SupervisorSettings,
    WorkerSettings,
    default_data_dir,
    read_settings,
)

EXIT_NOT_RUNNING = 1
EXIT_SERVER_ERROR = 8


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
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="A table for people, JSON for programs.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def up(data_dir: DataDir, port: Port = PORT, detach: Detach = False) -> None:
    """Start PostgreSQL, NATS, the gateway and the runners in one data directory."""
    from runners import lifecycle, presentation

    start = lifecycle.up_detached if detach else lifecycle.up
    running = start(SupervisorSettings(data_dir, port), presentation.print_change)
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

    found = lifecycle.status(data_dir)
    if output is OutputFormat.JSON:
        presentation.print_json(found)
    else:
        presentation.print_status(found)
    if not found.is_running:
        raise typer.Exit(EXIT_NOT_RUNNING)


@app.command()
def migrate(bootstrap: Bootstrap = False) -> None:
    """Bring the database at EVERLINE_OWNER_DSN to this program's schema."""
    from ledger.postgres.migrate import migrate as migrate_ledger

    settings = _settings(MigrationSettings)
    migrate_ledger(settings.owner_dsn)
    if settings.keys is not None:
        from runners.keys import ensure_master_key

        ensure_master_key(settings.keys, settings.owner_dsn)
    if bootstrap:
        import asyncio

        from runners.bootstrap import bootstrap as make_defaults

        asyncio.run(make_defaults(_settings(WorkerSettings)))


@app.command()
def relay() -> None:
    """Carry events from the ledger to NATS."""
    from runners import relay as program

    program.main(_settings(WorkerSettings))


@app.command()
def projector() -> None:
    """Keep the query tables up with the ledger."""
    from runners import projector as program

    program.main(_settings(WorkerSettings))


@app.command()
def sealer() -> None:
    """Sign a checkpoint of every ledger that moved, about once a second."""
    from runners import sealer as program

    program.main(_settings(SealerSettings))


def _settings(program: type[Settings]) -> Settings:
    """What the program is told; a usage error when that is missing or wrong."""
    from msgspec import ValidationError

    try:
        return read_settings(program, os.environ)
    except ValidationError as error:
        raise typer.BadParameter(str(error), param_hint="the environment") from None


def main() -> None:
    """Run one command; an error that we know is one line and an exit status, not a traceback."""
    try:
        app()
    except (RunnerError, KeyUnusable) as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        sys.exit(EXIT_SERVER_ERROR)


if __name__ == "__main__":
    main()
