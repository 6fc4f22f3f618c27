"""`everline info`: what this client talks to."""

from __future__ import annotations

from everline.cli.groups import leaf
from everline.cli.output import emit, facts
from everline.cli.session import Session, writing

app = leaf()


@app.command()
@writing
def info(session: Session) -> None:
    """Show the server, its version, and the workspaces in it."""
    answer = {"url": session.url, "workspace": session.workspace, **session.get_root("info")}
    names = [workspace["name"] for workspace in answer["workspaces"]]
    emit(session.output, answer, names=lambda: [session.url], table=lambda: facts({**answer, "workspaces": names}))
