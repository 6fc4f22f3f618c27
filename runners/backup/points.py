"""Up to where a restore goes: to the end of the backup, to a time in every ledger, or to a position in some."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from ledger.backup.errors import PositionBeyondBackup, PositionInsideBatch
from ledger.events.workspace import WorkspaceCreated
from ledger.values import CONTROL_WORKSPACE, Position
from runners.backup.checkpoints import Checked
from runners.backup.reading import read_log
from runners.errors import InvalidPoint, UnknownWorkspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.backup.manifest import Manifest, WorkspaceBackup
    from ledger.backup.segment import Entry
    from runners.backup.place import Place

CONTROL_NAME = "control"


class Point(NamedTuple):
    """Where one ledger ends; with neither, at the end of the backup."""

    position: Position | None = None
    time: datetime | None = None

    def is_before(self, entry: Entry) -> bool:
        """Whether this event is beyond the point."""
        if self.position is not None:
            return entry.stored.position > self.position
        return self.time is not None and datetime.fromisoformat(entry.stored.recorded_at) > self.time


class Points(NamedTuple):
    """The points of all ledgers."""

    time: datetime | None
    positions: dict[UUID, Position]

    def of(self, workspace: WorkspaceBackup) -> Point:
        return Point(self.positions.get(workspace.id), self.time)


def parse(place: Place, manifest: Manifest, words: Sequence[str]) -> Points:
    """`TIME`, or `WORKSPACE=POSITION` any number of times, each workspace by name or id.

    Raises InvalidPoint, UnknownWorkspace, PositionBeyondBackup.
    """
    times = [word for word in words if "=" not in word]
    pairs = [word.rpartition("=") for word in words if "=" in word]
    if len(times) > 1 or (times and pairs):
        raise InvalidPoint(" ".join(words), "give one time, or positions of workspaces")
    known = {workspace.id: workspace for workspace in manifest.workspaces}
    names = _names(place, known.get(CONTROL_WORKSPACE)) if pairs else {}
    positions: dict[UUID, Position] = {}
    for ref, _, written in pairs:
        workspace_id = names.get(ref) or _as_id(ref)
        if workspace_id not in known:
            raise UnknownWorkspace(ref)
        positions[workspace_id] = _position(written, known[workspace_id])
    return Points(_time(times[0]) if times else None, positions)


def refuse_inside_batch(last: Entry | None, following: Entry) -> None:
    """What was recorded together is restored together. Raises PositionInsideBatch."""
    if last is None:
        return
    mine, its = last.stored, following.stored
    if (mine.recorded_at, mine.correlation_id) == (its.recorded_at, its.correlation_id):
        raise PositionInsideBatch(UUID(mine.workspace_id), asked=mine.position, recorded_at=mine.recorded_at)


def _names(place: Place, control: WorkspaceBackup | None) -> dict[str, UUID]:
    """Workspaces by the names under which the control ledger knows them."""
    names = {CONTROL_NAME: CONTROL_WORKSPACE}
    for entry in read_log(place, control, [], Checked((), control, None)) if control else ():
        if entry.stored.type == WorkspaceCreated.type:
            created = msgspec.json.decode(entry.stored.data)
            names[created["name"]] = UUID(entry.stored.stream.partition("/")[2])
    return names


def _as_id(ref: str) -> UUID:
    try:
        return UUID(ref)
    except ValueError:
        raise UnknownWorkspace(ref) from None


def _position(written: str, workspace: WorkspaceBackup) -> Position:
    if not (written.isascii() and written.isdigit()):
        raise InvalidPoint(written, "a position is a number from 0")
    position = int(written)
    if position > workspace.position:
        raise PositionBeyondBackup(workspace.id, asked=position, last=workspace.position)
    return position


def _time(written: str) -> datetime:
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        raise InvalidPoint(written, "a time is written like 2026-11-03T12:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
