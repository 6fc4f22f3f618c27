"""`everline export`: events with their proof, for whoever must be able to check them without this system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everline.cli import output
from everline.cli.failures import CommandFailure
from everline.cli.groups import leaf
from everline.cli.proofs import reporting
from everline.cli.session import Session, writing

app = leaf()


class OutputExists(CommandFailure):
    """Nothing is ever overwritten."""

    code = "output_exists"


@app.command()
@writing
def export(
    session: Session,
    first: Annotated[int, typer.Option("--from", metavar="POSITION", min=1, help="The first event.")] = 1,
    last: Annotated[
        int | None,
        typer.Option("--to", metavar="POSITION", min=1, help="The last event; else the last one that is sealed."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR|FILE.zip", help="Where to write; a name ending in .zip makes a zip file."),
    ] = None,
) -> None:
    """Write events with everything that proves them, and a page that says how to check it with Python alone."""
    from everline.proof.bundle import write_bundle
    from everline.proof.log import Log

    chosen = target or Path(f"everline-{session.workspace}-{first}-{last or 'head'}.zip")
    if last is not None and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}")
    with reporting():
        try:
            found = write_bundle(Log(session.client, session.workspace), chosen, first=first, last=last)
        except FileExistsError:
            raise OutputExists(f"{chosen} exists already", hint="choose another name with --out") from None
    answer = {**found, "path": str(chosen)}
    output.emit(session.output, answer, names=lambda: [str(chosen)], table=lambda: output.note(summary(answer)))


def summary(answer: dict[str, object]) -> str:
    return (
        f"{answer['path']}: positions {answer['from']} to {answer['to']} under the checkpoint of size "
        f"{answer['checkpoint_size']}; VERIFY.md inside says how to check it"
    )
