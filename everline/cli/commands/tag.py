"""`everline tag`: coloured words, and what they are on."""

from __future__ import annotations

from typing import Annotated

import typer

from everline.cli.entities import parse_entity
from everline.cli.output import emit_receipt
from everline.cli.parameters import EntityArgument, Ref
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("tag")

ColorOption = Annotated[str, typer.Option("--color", help="grey, purple, red, green, yellow, orange, blue, ...")]


@app.command()
@writing
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The word.")],
    color: ColorOption = "grey",
) -> None:
    """Create a tag."""
    emit_receipt(session.output, session.command("create-tag", {"name": name, "color": color}), f"tag {name} created")


@app.command()
@writing
def update(session: Session, ref: Ref, color: ColorOption) -> None:
    """Give a tag another colour."""
    emit_receipt(session.output, session.command("update-tag", {"tag": ref, "color": color}), f"tag {ref} updated")


@app.command()
@writing
def delete(session: Session, ref: Ref) -> None:
    """Delete a tag; `restore` brings it back."""
    emit_receipt(session.output, session.command("delete-tag", {"tag": ref}), f"tag {ref} deleted")


@app.command()
@writing
def restore(session: Session, ref: Ref) -> None:
    """Bring a deleted tag back; name it by id."""
    emit_receipt(session.output, session.command("restore-tag", {"tag": ref}), f"tag {ref} restored")


@app.command()
@writing
def attach(session: Session, ref: Ref, entity: EntityArgument) -> None:
    """Put a tag on an entity: `tag attach golden model-version/churn@3`."""
    noun, name = parse_entity(entity)
    body = {"tag": ref, "resource_kind": noun.kind, "resource": name}
    emit_receipt(session.output, session.command("attach-tag", body), f"tag {ref} is on {entity}")


@app.command()
@writing
def detach(session: Session, ref: Ref, entity: EntityArgument) -> None:
    """Take a tag off an entity."""
    noun, name = parse_entity(entity)
    body = {"tag": ref, "resource_kind": noun.kind, "resource": name}
    emit_receipt(session.output, session.command("detach-tag", body), f"tag {ref} is no longer on {entity}")
