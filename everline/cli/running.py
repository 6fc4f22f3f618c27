"""Runs a pipeline from a file for `everline pipeline run`, in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from everline.cli import output
from everline.cli.assignments import parse_values
from everline.cli.exit_codes import ExitCode
from everline.cli.session import Session

if TYPE_CHECKING:
    from everline.execution.results import PipelineRun

SUCCEEDED = frozenset({"completed", "cached"})


def run_file(session: Session, file: str, *, parameters: Sequence[str], stack: str | None) -> None:
    """Run and show it; ends the command with exit code 0 when it completed, 1 when not."""
    from everline.errors import RunFailed
    from everline.execution import load_pipeline

    given = parse_values(parameters, option="--param")
    os.environ |= {"EVERLINE_URL": session.url, "EVERLINE_WORKSPACE": session.workspace}
    os.environ["EVERLINE_STACK"] = session.client.target.stack
    pipeline = load_pipeline(file).with_options(stack=stack)
    try:
        run = pipeline.run(**given)
    except RunFailed as failed:
        run = failed.run
        output.note(f"error: {failed.message}")
    show(session, run)
    raise typer.Exit(ExitCode.OK if run.status in SUCCEEDED else ExitCode.FAILED)


def show(session: Session, run: PipelineRun) -> None:
    """The run as the server knows it."""
    output.emit_entity(session, session.entity("runs", str(run.id)))
