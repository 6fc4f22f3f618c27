"""`everline person`: whom actors, roles and accounts are about. `everline erase person` ends it."""

from __future__ import annotations

from typing import Annotated

import typer

from everline.cli.failures import UsageFailure
from everline.cli.output import emit_receipt
from everline.cli.parameters import ReasonOption, Ref
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("person")

NameOption = Annotated[str | None, typer.Option("--name", help="What people call them.")]
EmailOption = Annotated[str | None, typer.Option("--email", help="Their address; of nobody else.")]
MatterOption = Annotated[
    str, typer.Option("--matter", help="The case number; it stays readable, so it must not name the person.")
]
MATTER = "general"


@app.command()
@writing
def register(
    session: Session,
    handle: Annotated[str, typer.Argument(metavar="HANDLE", help="A short name of nobody else: a-z 0-9 . _ -")],
    name: NameOption = None,
    email: EmailOption = None,
) -> None:
    """Register a person."""
    body = {"handle": handle, "name": name or handle, "email": email or ""}
    emit_receipt(session.output, session.command("register-person", body), f"person {handle} registered")


@app.command()
@writing
def update(
    session: Session,
    ref: Ref,
    handle: Annotated[str | None, typer.Option("--handle", help="A new handle.")] = None,
    name: NameOption = None,
    email: EmailOption = None,
) -> None:
    """Change what is known of a person."""
    given = {"handle": handle, "name": name, "email": email}
    changed = {key: value for key, value in given.items() if value is not None}
    if not changed:
        raise UsageFailure("nothing to change", hint="everline person update --help")
    emit_receipt(
        session.output, session.command("update-person", {"person": person_id(session, ref), **changed}), "changed"
    )


@app.command()
@writing
def hold(session: Session, ref: Ref, matter: MatterOption = MATTER, reason: ReasonOption = "") -> None:
    """Place a legal hold: the person cannot be erased before it is released. Several matters may hold at once."""
    body = {"person": person_id(session, ref), "matter": matter, "reason": reason}
    emit_receipt(session.output, session.command("place-legal-hold", body), f"{ref} is held for {matter}")


@app.command()
@writing
def release(session: Session, ref: Ref, matter: MatterOption = MATTER, reason: ReasonOption = "") -> None:
    """Release a legal hold."""
    body = {"person": person_id(session, ref), "matter": matter, "reason": reason}
    emit_receipt(session.output, session.command("release-legal-hold", body), f"{ref} is no longer held for {matter}")


def person_id(session: Session, ref: str) -> str:
    """The id of the person whom a handle, an address, a name or the beginning of an id means."""
    return str(session.entity("persons", ref)["id"])
