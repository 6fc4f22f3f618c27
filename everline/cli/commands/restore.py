"""`everline restore`: bring a backup into an empty deployment."""

from __future__ import annotations

from typing import Annotated

import typer

from everline.cli.groups import leaf
from everline.cli.operator import become_operator

app = leaf()


@app.command()
def restore(
    place: Annotated[str, typer.Argument(metavar="DIR|URL", help="Where the backups are.")],
    into: Annotated[
        str,
        typer.Option(
            "--into", metavar="DIR|DSN", help="A new data directory, or the owner's DSN of an empty database."
        ),
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="TIME|WORKSPACE=POSITION",
            help="Only up to here: a time for every ledger, or a position for some (may be repeated).",
        ),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--backup", metavar="NUMBER", min=1, help="Which backup; the last one unless told.")
    ] = None,
    keys_from: Annotated[
        str | None, typer.Option("--keys-from", metavar="DIR|URL", help="Where --keys-to put the key files.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded in every restored ledger.")] = "",
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="KEY", help="The deployment's verifier key: only what it signed is accepted."),
    ] = None,
    derived_claims: Annotated[
        bool,
        typer.Option("--derived-claims", help="Take the claims that follow from the events, whatever was there."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer for programs.")] = False,
) -> None:
    """Restore a backup into an empty deployment, checking every event on the way; or change nothing."""
    given = {"--into": into, "--backup": number, "--keys-from": keys_from, "--reason": reason or None, "--trust": trust}
    become_operator(
        "restore",
        place,
        *(word for point in to or () for word in ("--to", point)),
        data_dir=None,
        options={name: str(value) for name, value in given.items() if value is not None},
        flags={"--derived-claims": derived_claims, "--json": as_json},
    )
