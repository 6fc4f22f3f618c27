"""`everline artifact`: versions of an artifact, and where a value came from and went to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from everline.cli.completion import completing
from everline.cli.nouns import noun
from everline.cli.output import emit_page
from everline.cli.parameters import LimitOption, Ref
from everline.cli.reads import LIST_LIMIT, reads_of
from everline.cli.session import Session, reading, session_without_output

app = reads_of("artifact")


class LineageOutput(StrEnum):
    """How a lineage graph is written."""

    TABLE = "table"
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"


@app.command()
@reading
def versions(session: Session, ref: Ref, limit: LimitOption = LIST_LIMIT) -> None:
    """List the versions of one artifact, newest first."""
    artifact = session.entity("artifacts", ref)
    page = session.page("artifact-versions", {"artifact_id": f"equals:{artifact['id']}", "limit": limit})
    emit_page(session, page, columns=noun("artifact-version").columns, what="versions")


@app.command()
@session_without_output
def lineage(
    session: Session,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="NAME@N", help="A version: digits@3, or an id.", autocompletion=completing("artifact-versions")
        ),
    ],
    up: Annotated[int | None, typer.Option("--up", min=0, max=50, help="How many steps back.")] = None,
    down: Annotated[int | None, typer.Option("--down", min=0, max=50, help="How many steps forward.")] = None,
    form: Annotated[
        LineageOutput, typer.Option("--output", "-o", help="A table, the API's JSON, or a graph to render.")
    ] = LineageOutput.TABLE,
) -> None:
    """Show what a stored value was made from (--up) and what was made from it (--down); both unless one is named."""
    from everline.cli.lineage import emit_lineage, read_lineage

    emit_lineage(read_lineage(session, ref, up=up, down=down), form.value)
