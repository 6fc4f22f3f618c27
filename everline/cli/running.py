"""Runs a pipeline from a file for `everline pipeline run`, in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import typer

from everline.cli import output
from everline.cli.assignments import parse_assignments
from everline.cli.exit_codes import ExitCode
from everline.cli.session import Session

SUCCEEDED = frozenset({"completed", "cached"})


def run_file(session: Session, file: str, *, parameters: Sequence[str], stack: str | None) -> None:
    """Run and show it; ends the command with exit code 0 when it completed, 1 when not."""
    from everline.errors import RunFailed
    from everline.execution.loading import load_pipeline, parse_parameters

    os.environ |= {"EVERLINE_URL": session.url, "EVERLINE_WORKSPACE": session.workspace}
    path, name = file_and_name(file)
    with redirect_stdout(sys.stderr):  # what the file and its steps print is no answer of this command
        pipeline = load_pipeline(path, name).with_options(stack=stack or session.client.target.stack)
        given = parse_parameters(pipeline, parse_assignments(parameters, option="--param"))
        try:
            run = pipeline.run(**given)
        except RunFailed as failed:
            run = failed.run
            output.note(f"error: {failed.message}")
    output.emit_entity(session, session.entity("runs", run.id))
    raise typer.Exit(ExitCode.OK if run.status in SUCCEEDED else ExitCode.FAILED)


def file_and_name(text: str) -> tuple[str, str | None]:
    """`train.py:digits` is the pipeline `digits` in `train.py`; a path may hold colons, a name cannot."""
    file, colon, name = text.rpartition(":")
    return (file, name) if colon and name.isidentifier() else (text, None)
