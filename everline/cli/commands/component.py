"""`everline component`: register and change the pieces that stacks combine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from everline.cli.assignments import merged, parse_labels, parse_values
from everline.cli.failures import UsageFailure
from everline.cli.output import emit_receipt
from everline.cli.parameters import DescriptionOption, Ref
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("component")

TypeOption = Annotated[
    str, typer.Option("--type", "-t", help="What it serves as: orchestrator, artifact_store, ...", metavar="TYPE")
]
FlavorOption = Annotated[
    str, typer.Option("--flavor", "-f", help="Which implementation: local, s3, ...", metavar="FLAVOR")
]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="KEY=VALUE", help="A setting; values read as JSON where they can. Repeat for several."
    ),
]
UnsetOption = Annotated[
    list[str] | None, typer.Option("--unset", metavar="KEY", help="Remove a setting; repeat for several.")
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
    component_type: TypeOption,
    flavor: FlavorOption,
    config: ConfigOption = None,
    description: DescriptionOption = None,
    labels: LabelOption = None,
) -> None:
    """Register a component.

    Example: everline component register s3 --type artifact_store --flavor s3 --config path=s3://bucket
    """
    body = {
        "name": name,
        "component_type": component_type,
        "flavor": flavor,
        "configuration": parse_values(config or [], option="--config"),
        "description": description or "",
        "labels": parse_labels(labels or []),
    }
    emit_receipt(session.output, session.command("register-component", body), f"component {name} registered")


@app.command()
@writing
def update(
    session: Session,
    ref: Ref,
    config: ConfigOption = None,
    unset: UnsetOption = None,
    name: RenameOption = None,
    description: DescriptionOption = None,
) -> None:
    """Change settings, the name or the description; the settings that you do not name stay."""
    given: dict[str, Any] = {
        key: value for key, value in {"name": name, "description": description}.items() if value is not None
    }
    if config or unset:
        current = session.entity("components", ref)
        given["configuration"] = merged(
            current["configuration"], parse_values(config or [], option="--config"), without=unset or []
        )
        version = current["version"]
    elif given:
        version = None
    else:
        raise UsageFailure(
            "nothing to change", hint="name a setting (--config KEY=VALUE), --unset, --name or --description"
        )
    receipt = session.command("update-component", {"component": ref, **given}, expected_version=version)
    emit_receipt(session.output, receipt, f"component {ref} updated")


@app.command()
@writing
def delete(session: Session, ref: Ref) -> None:
    """Delete a component that no stack uses; `restore` brings it back."""
    emit_receipt(session.output, session.command("delete-component", {"component": ref}), f"component {ref} deleted")


@app.command()
@writing
def restore(session: Session, ref: Ref) -> None:
    """Bring a deleted component back as it was; name it by id."""
    emit_receipt(session.output, session.command("restore-component", {"component": ref}), f"component {ref} restored")
