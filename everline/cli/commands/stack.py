"""`everline stack`: register and change the sets of components that runs execute on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from everline.cli.assignments import merged, parse_assignments, parse_labels
from everline.cli.failures import UsageFailure
from everline.cli.output import emit_receipt
from everline.cli.parameters import DescriptionOption, Ref
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("stack")

ComponentOption = Annotated[
    list[str] | None,
    typer.Option("--component", metavar="TYPE=NAME", help="Which component serves as what; repeat for several."),
]
RemoveOption = Annotated[
    list[str] | None,
    typer.Option("--remove", metavar="TYPE", help="Take the component of this type out; repeat for several."),
]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; repeat for several.")
]
RenameOption = Annotated[str | None, typer.Option("--name", help="A new name.")]


@app.command()
@writing
def register(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    components: ComponentOption = None,
    description: DescriptionOption = None,
    labels: LabelOption = None,
) -> None:
    """Register a stack.

    Example: everline stack register prod --component orchestrator=local --component artifact_store=s3
    """
    body = {
        "name": name,
        "components": parse_assignments(components or [], option="--component"),
        "description": description or "",
        "labels": parse_labels(labels or []),
    }
    emit_receipt(session.output, session.command("register-stack", body), f"stack {name} registered")


@app.command()
@writing
def update(
    session: Session,
    ref: Ref,
    components: ComponentOption = None,
    remove: RemoveOption = None,
    name: RenameOption = None,
    description: DescriptionOption = None,
) -> None:
    """Exchange components, or change the name or the description; what you do not name stays."""
    given: dict[str, Any] = {
        key: value for key, value in {"name": name, "description": description}.items() if value is not None
    }
    version = None
    if components or remove:
        current = session.entity("stacks", ref)
        chosen = parse_assignments(components or [], option="--component")
        given["components"] = merged(current["components"], chosen, without=remove or [])
        version = current["version"]
    if not given:
        raise UsageFailure(
            "nothing to change", hint="name a component (--component TYPE=NAME), --remove, --name or --description"
        )
    receipt = session.command("update-stack", {"stack": ref, **given}, expected_version=version)
    emit_receipt(session.output, receipt, f"stack {ref} updated")


@app.command()
@writing
def delete(session: Session, ref: Ref) -> None:
    """Delete a stack; `restore` brings it back."""
    emit_receipt(session.output, session.command("delete-stack", {"stack": ref}), f"stack {ref} deleted")


@app.command()
@writing
def restore(session: Session, ref: Ref) -> None:
    """Bring a deleted stack back as it was; name it by id."""
    emit_receipt(session.output, session.command("restore-stack", {"stack": ref}), f"stack {ref} restored")
