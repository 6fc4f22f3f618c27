"""`everline backup`: copies of the ledger, made while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer._click import Command, Context

from everline.cli.groups import Branch
from everline.cli.operator import become_operator


class BackupGroup(Branch):
    """`everline backup DIR` is short for `everline backup create DIR`."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args[0] not in self.commands:
            args = ["create", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    help="Copy the ledger while it runs: create, list, verify.",
    cls=BackupGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Place = Annotated[str, typer.Argument(metavar="DIR|URL", help="A directory, or a bucket such as s3://name/prefix.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Which system; else EVERLINE_DATA_DIR or your data directory."),
]
Dsn = Annotated[
    str | None,
    typer.Option("--dsn", metavar="DSN", help="Its PostgreSQL, when it is not in a data directory; else EVERLINE_DSN."),
]
Number = Annotated[
    int | None, typer.Option("--backup", metavar="NUMBER", min=1, help="Which backup; the last one unless told.")
]
Trust = Annotated[
    str | None,
    typer.Option("--trust", metavar="KEY", help="The deployment's verifier key: only what it signed is accepted."),
]
Json = Annotated[bool, typer.Option("--json", help="The answer for programs.")]


@app.command()
def create(
    place: Place,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    keys_to: Annotated[
        str | None,
        typer.Option("--keys-to", metavar="DIR|URL", help="Another place, for the key files; else they are left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add to a directory or bucket what it does not have of the ledger yet; everything may run meanwhile."""
    options = _given({"--dsn": dsn, "--keys-to": keys_to})
    become_operator("backup", "create", place, data_dir=data_dir, options=options, flags={"--json": as_json})


@app.command("list")
def list_backups(place: Place, data_dir: DataDir = None, dsn: Dsn = None, as_json: Json = False) -> None:
    """Show the backups of a place, and what a crash now would lose."""
    options = _given({"--dsn": dsn})
    become_operator("backup", "list", place, data_dir=data_dir, options=options, flags={"--json": as_json})


@app.command()
def verify(place: Place, number: Number = None, trust: Trust = None, as_json: Json = False) -> None:
    """Check every byte of a backup without restoring it; exit code 3 when something is wrong."""
    options = _given({"--backup": number, "--trust": trust})
    become_operator("backup", "verify", place, data_dir=None, options=options, flags={"--json": as_json})


def _given(options: dict[str, str | int | None]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}
