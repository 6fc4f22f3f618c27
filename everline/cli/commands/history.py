"""`everline history KIND/NAME`: every change of one entity."""

from __future__ import annotations

from everline.cli.entities import parse_entity
from everline.cli.groups import leaf
from everline.cli.parameters import EntityArgument, LimitOption
from everline.cli.reads import HISTORY_LIMIT, emit_history
from everline.cli.session import Session, reading

app = leaf()


@app.command()
@reading
def history(session: Session, entity: EntityArgument, limit: LimitOption = HISTORY_LIMIT) -> None:
    """Show every change of one entity, newest first: when, who, what it was before and after."""
    noun, name = parse_entity(entity)
    emit_history(session, noun.table, name, limit=limit)
