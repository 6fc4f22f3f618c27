"""`everline pipeline`: run one from a file, describe it."""

from __future__ import annotations

from typing import Annotated

import typer

from everline.cli.output import emit_receipt
from everline.cli.parameters import ParameterOption, Ref, StackOption
from everline.cli.reads import reads_of
from everline.cli.session import Session, writing

app = reads_of("pipeline")


@app.command()
@writing
def run(
    session: Session,
    file: Annotated[
        str, typer.Argument(metavar="FILE[:NAME]", help="A Python file, and which pipeline if it has several.")
    ],
    parameters: ParameterOption = None,
    stack: StackOption = None,
) -> None:
    """Run a pipeline from a file here and now; the exit code is the run's result: 0 completed, 1 failed."""
    from everline.cli.running import run_file

    run_file(session, file, parameters=parameters or [], stack=stack)


@app.command()
@writing
def update(
    session: Session,
    ref: Ref,
    description: Annotated[str, typer.Option("--description", help="What it is for.")],
) -> None:
    """Change a pipeline's description."""
    receipt = session.command("update-pipeline", {"pipeline": ref, "description": description})
    emit_receipt(session.output, receipt, f"pipeline {ref} updated")
