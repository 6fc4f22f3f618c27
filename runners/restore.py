"""Restores a backup into an empty ledger: every event checked on its way in, what follows from events derived anew.

All of it is one transaction: a restore that is refused or killed leaves the ledger empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg

from commands import claims
from ledger import merkle
from ledger.backup.errors import BackupDamaged, ClaimsDiffer
from ledger.backup.segment import inflate
from ledger.backup.tables import growing
from runners import catalog
from runners.backup_reading import read_log
from runners.restore_points import refuse_inside_batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from ledger.backup.manifest import Manifest, StoredObject, WorkspaceBackup
    from ledger.backup.segment import Entry
    from ledger.postgres.copy_in import Target
    from ledger.values import Position
    from runners.place import Place
    from runners.progress import Progress
    from runners.restore_points import Points


class Restored(NamedTuple):
    """How far a ledger was restored, of how much there was."""

    workspace_id: UUID
    position: Position
    backed_up: Position


class Restoring:
    """One restore. `derived_claims`: take the claims that follow from the events, whatever the ledger had."""

    def __init__(
        self,
        place: Place,
        manifest: Manifest,
        target: Target,
        *,
        points: Points,
        derived_claims: bool,
        progress: Progress,
    ) -> None:
        self._place = place
        self._manifest = manifest
        self._target = target
        self._points = points
        self._derived_claims = derived_claims
        self._progress = progress

    def run(self) -> list[Restored]:
        """Blocks until everything is written; the caller commits. Raises BackupError."""
        self._progress.start(self._manifest.events)
        restored = [self._workspace(workspace) for workspace in self._manifest.workspaces]
        for table, rows in self._manifest.tables.items():
            self._target.rows(table, self._pieces(rows))
        self._target.derive()
        for workspace in self._manifest.workspaces:
            self._claims(workspace)
        self._progress.finish()
        return restored

    def _workspace(self, workspace: WorkspaceBackup) -> Restored:
        frontier: list[bytes] = []
        last = self._events(workspace, frontier)
        position = last.stored.position if last else 0
        is_whole = position == workspace.position
        if is_whole and merkle.pack(frontier).hex() != workspace.frontier:
            raise BackupDamaged(f"workspace {workspace.id}", "its events do not add up to its head", position=position)
        self._commands(workspace, position)
        for table in growing():
            for part in workspace.growing.get(table.table, ()):
                self._target.rows(table.table, self._pieces(part.rows), key=table.key, until=position)
        clock = workspace.clock if is_whole else (last.stored.recorded_at if last else None)
        if position or is_whole:
            self._target.head(workspace.id, position=position, clock=clock, frontier=frontier)
        return Restored(workspace.id, position, workspace.position)

    def _events(self, workspace: WorkspaceBackup, frontier: list[bytes]) -> Entry | None:
        """Writes the events up to the point; the last of them."""
        point, last = self._points.of(workspace), None
        is_cut = point != (None, None)
        with self._target.events() as add:
            for entry in read_log(self._place, workspace, frontier):
                if is_cut and point.is_before(entry):
                    refuse_inside_batch(last, entry)
                    break
                add(entry)
                self._progress.advance(1)
                last = entry
        return last

    def _commands(self, workspace: WorkspaceBackup, position: Position) -> None:
        for segment in workspace.segments:
            if segment.first <= position + 1:
                until = None if segment.last <= position else position
                self._target.rows("commands", self._pieces(segment.commands), key="last_position", until=until)
        if position == workspace.position and workspace.open_commands is not None:
            self._target.rows("commands", self._pieces(workspace.open_commands))

    def _claims(self, workspace: WorkspaceBackup) -> None:
        """Those that the states hold; at the end of the backup they must be those that the ledger had."""
        try:
            self._target.claims(workspace.id, claims.derive(self._target.streams(workspace.id)))
        except psycopg.errors.UniqueViolation as error:
            raise ClaimsDiffer(workspace.id, reason=str(error.diag.message_detail)) from error
        if self._derived_claims or self._points.of(workspace) != (None, None):
            return
        count, digest = self._target.claims_digest(workspace.id)
        if digest != workspace.claims_sha256:
            raise ClaimsDiffer(workspace.id, reason=f"{count} follow from the events, {workspace.claims} were there")

    def _pieces(self, wanted: StoredObject) -> Iterator[bytes]:
        return inflate(wanted.name, catalog.fetch(self._place, wanted))
