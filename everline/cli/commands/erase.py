"""`everline erase`: what the law wants forgotten."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everline.cli.failures import UsageFailure
from everline.cli.groups import branch
from everline.cli.output import emit_receipt
from everline.cli.parameters import Ref, YesOption
from everline.cli.session import Session, writing

app = branch("Forget what is known of somebody, for ever and at every moment of the past.")


@app.callback()
def erase() -> None:
    """Forget what is known of somebody, for ever and at every moment of the past."""


@app.command()
@writing
def person(
    session: Session,
    ref: Ref,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it stays readable, so it must not name the person.", prompt=False)
    ],
    yes: YesOption = False,
) -> None:
    """Destroy the key to a person's name, handle and address. History still verifies; nothing brings them back."""
    found = session.entity("persons", ref)
    if not yes:
        ask(f"Erase {found['name']} ({found['handle']}, {found['id']})? Nothing brings this back.")
    receipt = session.command("erase-person", {"person": str(found["id"]), "reason": reason})
    session.entity("persons", str(found["id"]))  # reads its own write: the query tables have forgotten too
    emit_receipt(session.output, receipt, f"person {found['id']} erased")


def ask(question: str) -> None:
    """A yes, or the end of the command; without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        raise UsageFailure("there is no terminal to ask on", hint="--yes erases without asking")
    if not typer.confirm(question, err=True):
        raise typer.Abort
