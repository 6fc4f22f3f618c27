"""`everline sync`: send what was recorded while the server was away."""

from __future__ import annotations

from everline.cli.groups import leaf
from everline.cli.output import emit, line
from everline.cli.session import Session, writing

app = leaf()


@app.command()
@writing
def sync(session: Session) -> None:
    """Send what runs recorded here while the server was away; each command is done once, however often it is sent."""
    from everline.sending import sync as send_spooled

    answered = send_spooled(session.url)
    emit(
        session.output,
        {"sent": answered},
        names=lambda: [str(answered)],
        table=lambda: line(f"sent {answered} commands"),
    )
