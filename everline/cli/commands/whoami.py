"""`everline whoami`: as whom the server records what you do."""

from __future__ import annotations

from everline.cli.groups import leaf
from everline.cli.output import emit, line
from everline.cli.session import Session, writing

app = leaf()


@app.command()
@writing
def whoami(session: Session) -> None:
    """Show the actor that stands on the events of your commands."""
    answer = session.get_root("whoami")
    emit(session.output, answer, names=lambda: [str(answer["actor"])], table=lambda: line(str(answer["actor"])))
