"""Restores a backup into an empty ledger: every event checked on its way in, what follows from events derived anew.

All of it is one transaction: a restore that is refused or killed leaves the ledger empty.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from commands import claims
from ledger import merkle
from ledger.backup.errors import BackupDamaged, ClaimsDiffer
from ledger.backup.segment import inflate
from ledger.erasure import MasterKey
from ledger.postgres.copy_out import LedgerHead
from runners.backup import catalog, checkpoints
from runners.backup.checkpoints import Checked, deployment_of, refuse_untrusted
from runners.backup.points import refuse_inside_batch
from runners.backup.reading import read_log
from runners.backup.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from ledger.backup.manifest import Manifest, StoredObject, WorkspaceBackup
    from ledger.backup.segment import Entry
    from ledger.checkpoint import VerifierKey
    from ledger.postgres.copy_in import Target
    from ledger.values import Position
    from runners.backup.place import Place
    from runners.backup.points import Points
    from runners.progress import Progress


class Terms(NamedTuple):
    """What one restore is to do. `trusted` is the key that must have signed, if given. `derived_claims`: take the
    claims that follow from the events, whatever the ledger had. `master_key` is needed where people are known."""

    points: Points
    reason: str = ""
    trusted: VerifierKey | None = None
    derived_claims: bool = False
    master_key: MasterKey | None = None


class Restored(NamedTuple):
    """How far a ledger was restored, of how much there was; and up to where its signed checkpoints were compared."""

    workspace_id: UUID
    position: Position
    backed_up: Position
    signed: Position


class _Ledger(NamedTuple):
    """A ledger on its way: what there is of it, its tree so far, and the checkpoints held against that."""

    workspace: WorkspaceBackup
    frontier: list[bytes]
    checked: Checked


class Restoring:
    """One restore into one transaction."""

    def __init__(self, place: Place, manifest: Manifest, target: Target, *, terms: Terms, progress: Progress) -> None:
        self._place = place
        self._manifest = manifest
        self._target = target
        self._terms = terms
        self._progress = progress
        self._deployment = deployment_of(manifest)
        self._recorder = Recorder(manifest, self._deployment, reason=terms.reason, now=target.now())

    def run(self) -> list[Restored]:
        """Blocks until everything is written; the caller commits. Raises BackupError."""
        refuse_untrusted(self._deployment, self._terms.trusted)
        self._progress.start(self._manifest.events)
        newest = catalog.load(self._place).newest
        for table, rows in (*self._manifest.tables.items(), *newest.items()):
            self._target.rows(table, self._pieces(rows))
        if self._deployment is not None:
            self._target.witness(self._deployment.name, self._deployment.public_key)
        restored = [self._workspace(workspace) for workspace in self._manifest.workspaces]
        self._target.derive()
        for workspace in self._manifest.workspaces:
            self._claims(workspace)
        self._progress.finish()
        return restored

    def _workspace(self, workspace: WorkspaceBackup) -> Restored:
        checked = Checked(checkpoints.read(self._place, workspace), workspace, self._deployment)
        ledger = _Ledger(workspace, [], checked)
        last = self._events(ledger)
        position = last.stored.position if last else 0
        is_whole = position == workspace.position
        if is_whole and merkle.pack(ledger.frontier).hex() != workspace.frontier:
            raise BackupDamaged(f"workspace {workspace.id}", "its events do not add up to its head", position=position)
        checked.verify_last()
        self._commands(workspace, position)
        self._witness(workspace, until=position)
        if last is not None:
            self._record(ledger, last, clock=workspace.clock if is_whole else None)
        elif is_whole:
            self._target.head(LedgerHead(workspace.id, 0, workspace.clock, b"", workspace.schema))
        signed = checked.last.checkpoint.checkpoint.size if checked.last else 0
        return Restored(workspace.id, position, workspace.position, signed)

    def _events(self, ledger: _Ledger) -> Entry | None:
        """Writes the events up to the point; the last of them."""
        point, last = self._terms.points.of(ledger.workspace), None
        is_cut = point != (None, None)
        with self._target.events() as add:
            for entry in read_log(self._place, *ledger):
                if is_cut and point.is_before(entry):
                    refuse_inside_batch(last, entry)
                    break
                add(entry)
                self._progress.advance(1)
                last = entry
        return last

    def _record(self, ledger: _Ledger, last: Entry, *, clock: datetime | None) -> None:
        """The ledger says itself where it comes from, and stands behind that."""
        workspace, frontier, checked = ledger
        position = last.stored.position
        last_recorded = datetime.fromisoformat(last.stored.recorded_at)
        entry, recorded_at = self._recorder.entry(
            workspace, checked, position=position, after=max(clock or last_recorded, last_recorded)
        )
        with self._target.events() as add:
            add(entry)
        self._target.command_of(entry)
        merkle.grow(frontier, position, entry.leaf)
        packed = merkle.pack(frontier)
        self._target.head(LedgerHead(workspace.id, position + 1, recorded_at, packed, workspace.schema))

    def _commands(self, workspace: WorkspaceBackup, position: Position) -> None:
        """So that a repeat of one of them gets its first answer."""
        for segment in workspace.segments:
            if segment.first <= position + 1:
                until = None if segment.last <= position else position
                self._target.rows("commands", self._pieces(segment.commands), key="last_position", until=until)
        if position == workspace.position and workspace.open_commands is not None:
            self._target.rows("commands", self._pieces(workspace.open_commands))

    def _witness(self, workspace: WorkspaceBackup, *, until: Position) -> None:
        """The checkpoints that this history extends are kept as those of the deployment before."""
        signed = checkpoints.read(self._place, workspace)
        self._target.witnessed(
            (one.checkpoint.checkpoint, one.note, one.signed_at)
            for one in signed
            if one.checkpoint.checkpoint.size <= until
        )

    def _claims(self, workspace: WorkspaceBackup) -> None:
        """Those that the states hold; at the end of the backup they must be those that the ledger had."""
        try:
            keys = claims.StoredKeys(self._terms.master_key, workspace.id, self._target.wrapped_keys(workspace.id))
            self._target.claims(workspace.id, claims.derive(self._target.streams(workspace.id), keys))
        except psycopg.errors.UniqueViolation as error:
            raise ClaimsDiffer(workspace.id, reason=str(error.diag.message_detail)) from error
        if self._terms.derived_claims or self._terms.points.of(workspace) != (None, None):
            return
        count, digest = self._target.claims_digest(workspace.id)
        if digest != workspace.claims_sha256:
            raise ClaimsDiffer(workspace.id, reason=f"{count} follow from the events, {workspace.claims} were there")

    def _pieces(self, wanted: StoredObject) -> Iterator[bytes]:
        return inflate(wanted.name, catalog.fetch(self._place, wanted))
