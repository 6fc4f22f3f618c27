"""`everline witness`: let another deployment remember our checkpoints, and remember those of others."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from everline.calls import Call
from everline.cli import output, tables
from everline.cli.exit_codes import ExitCode
from everline.cli.groups import branch
from everline.cli.parameters import LimitOption
from everline.cli.proofs import reporting
from everline.cli.reads import LIST_LIMIT
from everline.cli.session import Session, writing

app = branch("Watch the checkpoints of other deployments, and be watched: the only way to see a rewritten history.")

PUSHED_COLUMNS = ("log", "size", "code", "detail")
LIST_COLUMNS = ("origin", "size", "at")
REFUSED_COLUMNS = ("origin", "size", "code", "at")


@app.command()
@writing
def key(session: Session) -> None:
    """Show this deployment's key, to be given to those who watch it."""
    from everline.proof.log import Log

    with reporting():
        found = Log(session.client, None).key().text
    output.emit(session.output, {"key": found}, names=lambda: [found], table=lambda: output.line(found))


@app.command()
@writing
def watch(
    session: Session,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The other deployment's key, from `everline witness key`.")],
) -> None:
    """Watch another deployment: take its checkpoints, and refuse those that contradict earlier ones."""
    call = Call("POST", "/v1/witness/deployments", dict, body={"key": key}, repeatable=True)
    watched: dict[str, Any] = session.client.send(call)
    output.emit(
        session.output,
        watched,
        names=lambda: [str(watched["name"])],
        table=lambda: output.line(f"watching {watched['name']}"),
    )


@app.command()
@writing
def push(
    session: Session,
    url: Annotated[str, typer.Argument(metavar="URL", help="The witness: the address of another deployment.")],
) -> None:
    """Show our checkpoints to a witness; exit code 3 when it has seen another history."""
    from everline.client import Client
    from everline.proof.witnesses import push as push_all

    with Client(url) as witness, reporting():
        rows = list(push_all(session.client, witness))
    output.emit(
        session.output,
        rows,
        names=lambda: [str(row["log"]) for row in rows],
        table=lambda: tables.show(rows, tables.columns(PUSHED_COLUMNS)),
    )
    if any(row["code"] for row in rows):
        raise typer.Exit(ExitCode.VERIFICATION)


@app.command("list")
@writing
def list_witnessed(
    session: Session,
    refused: Annotated[
        bool, typer.Option("--refused", help="The signed checkpoints that contradict what was seen: evidence.")
    ] = False,
    limit: LimitOption = LIST_LIMIT,
) -> None:
    """List what was seen last of every log that is watched here."""
    path = "/v1/witness/refused" if refused else "/v1/witness/checkpoints"
    page: dict[str, Any] = session.client.send(Call("GET", path, dict, {"limit": limit}, repeatable=True))
    columns = REFUSED_COLUMNS if refused else LIST_COLUMNS
    output.emit(
        session.output,
        page,
        names=lambda: [str(row["origin"]) for row in page["items"]],
        table=lambda: tables.show(page["items"], tables.columns(columns)) if page["items"] else output.note("none"),
    )
