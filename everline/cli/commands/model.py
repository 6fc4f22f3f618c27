"""`everline model`: register models, list their versions, decide which one is in production."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from everline.cli.completion import completing
from everline.cli.failures import UsageFailure
from everline.cli.nouns import noun
from everline.cli.output import emit_page, emit_receipt
from everline.cli.parameters import DescriptionOption, LimitOption, ReasonOption, Ref
from everline.cli.reads import LIST_LIMIT, reads_of
from everline.cli.session import Session, reading, writing

app = reads_of("model")


class Stage(StrEnum):
    """Where a model version stands; one version per model in staging, one in production."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


RenameOption = Annotated[str | None, typer.Option("--name", help="A new name.")]
LicenseOption = Annotated[str | None, typer.Option("--license", help="Under which licence it may be used.")]
LimitationsOption = Annotated[str | None, typer.Option("--limitations", help="What it must not be used for.")]
VersionRef = Annotated[
    str,
    typer.Argument(
        metavar="NAME@N",
        help="A version: churn@3, churn@latest, or an id.",
        autocompletion=completing("model-versions"),
    ),
]


@app.command()
@writing
def register(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    description: DescriptionOption = None,
    license_: LicenseOption = None,
    limitations: LimitationsOption = None,
) -> None:
    """Register a model; its versions come from runs."""
    given = {"description": description, "license": license_, "limitations": limitations}
    body = {"name": name, **{key: value for key, value in given.items() if value is not None}}
    emit_receipt(session.output, session.command("register-model", body), f"model {name} registered")


@app.command()
@writing
def update(
    session: Session,
    ref: Ref,
    name: RenameOption = None,
    description: DescriptionOption = None,
    license_: LicenseOption = None,
    limitations: LimitationsOption = None,
) -> None:
    """Change what is said about a model."""
    given = {"name": name, "description": description, "license": license_, "limitations": limitations}
    changed = {key: value for key, value in given.items() if value is not None}
    if not changed:
        raise UsageFailure("nothing to change", hint="everline model update --help")
    emit_receipt(session.output, session.command("update-model", {"model": ref, **changed}), f"model {ref} updated")


@app.command()
@writing
def delete(session: Session, ref: Ref) -> None:
    """Delete a model; `restore` brings it back."""
    emit_receipt(session.output, session.command("delete-model", {"model": ref}), f"model {ref} deleted")


@app.command()
@writing
def restore(session: Session, ref: Ref) -> None:
    """Bring a deleted model back as it was; name it by id."""
    emit_receipt(session.output, session.command("restore-model", {"model": ref}), f"model {ref} restored")


@app.command()
@reading
def versions(session: Session, ref: Ref, limit: LimitOption = LIST_LIMIT) -> None:
    """List the versions of one model, newest first."""
    model = session.entity("models", ref)
    page = session.page("model-versions", {"model_id": f"equals:{model['id']}", "limit": limit})
    emit_page(session, page, columns=noun("model-version").columns, what="versions")


@app.command()
@writing
def promote(
    session: Session,
    ref: VersionRef,
    to: Annotated[Stage, typer.Option("--to", help="The stage to move it to.")],
    force: Annotated[bool, typer.Option("--force", help="Take the stage from the version that holds it.")] = False,
    reason: ReasonOption = "",
) -> None:
    """Move a version to a stage.

    Example: everline model promote churn@3 --to production --reason "better on recall"
    """
    body = {"model_version": ref, "stage": to.value, "force": force, "reason": reason}
    emit_receipt(session.output, session.command("promote-model-version", body), f"{ref} is now {to.value}")
