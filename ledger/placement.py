"""Where a workspace lives: a PostgreSQL, by its alias, and the schema of its query tables.

It follows from the workspace's events in the control ledger; programs keep it in mind, and the head row on the
PostgreSQL itself refuses whoever comes with what is no longer so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from ledger.events.workspace import (
    KIND,
    WorkspaceMoveAbandoned,
    WorkspaceMoveStarted,
    WorkspacePlaced,
)
from ledger.values import CONTROL_WORKSPACE, StreamId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ledger.envelope import Event
    from ledger.postgres.read import LedgerReader

MAIN = "main"
"""The alias of the home: the PostgreSQL with the control ledger."""

ALIASES_MAX = 64
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,30}")
_BETWEEN = re.compile(r",(?=[a-z][a-z0-9-]*=)|\n")


class Placement(NamedTuple):
    """`schema` is the pool schema of the query tables; None means one of the workspace's own. `move_id` is the move
    that brought it there."""

    alias: str = MAIN
    schema: str | None = None
    move_id: UUID | None = None


class Move(NamedTuple):
    """A move on its way."""

    move_id: UUID
    alias: str
    schema: str | None


class Placing(NamedTuple):
    """What the control ledger says of a workspace's place, and of a move that has begun and not ended."""

    placement: Placement = Placement()
    moving: Move | None = None

    def after(self, event: Event) -> Placing:
        """What one more event of the workspace makes of it."""
        match event:
            case WorkspacePlaced():
                return Placing(Placement(event.alias, event.pool_schema, event.move_id))
            case WorkspaceMoveStarted():
                return Placing(self.placement, Move(event.move_id, event.alias, event.pool_schema))
            case WorkspaceMoveAbandoned():
                return Placing(self.placement)
            case _:
                return self


async def read_placing(reader: LedgerReader, workspace_id: UUID) -> Placing:
    """Where a workspace is placed, by the control ledger that this reader reads. The control ledger itself is at
    home."""
    placing = Placing()
    for recorded in await reader.read_stream(CONTROL_WORKSPACE, StreamId(KIND, workspace_id)):
        placing = placing.after(recorded.event)
    return placing


class InvalidAliases(ValueError):
    """The setting that names the PostgreSQLs does not say what it should."""


def parse_dsns(home: str, others: str, *, file: Path | None = None) -> Mapping[str, str]:
    """DSNs by alias, the home first. `others` is written `eu=postgresql://...,us=host=...`; a file has a line for
    each.

    Raises InvalidAliases.
    """
    found = {MAIN: home}
    if file is not None:
        others = f"{others}\n{_read(file)}"
    for entry in filter(None, (part.strip() for part in _BETWEEN.split(others))):
        alias, equals, dsn = entry.partition("=")
        if not (equals and dsn and ALIAS.fullmatch(alias)):
            raise InvalidAliases(f"{alias!r}: write alias=DSN, the alias in lower case (a-z, 0-9, -)")
        if alias in found:
            raise InvalidAliases(f"the alias {alias!r} is named twice" if alias != MAIN else "main is the home itself")
        found[alias] = dsn
    if len(found) > ALIASES_MAX:
        raise InvalidAliases(f"{len(found)} aliases are over the limit of {ALIASES_MAX}")
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidAliases(f"{file} cannot be read: {error}") from None
