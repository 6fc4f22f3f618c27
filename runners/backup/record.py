"""The event that ends what was restored: in every ledger, the first one that is new."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ledger.appending import CLOCK_TICK
from ledger.backup.segment import Entry, entry_of
from ledger.codec import canonical, encode_data
from ledger.envelope import Envelope
from ledger.events.restoration import KIND, RestorationRecorded
from ledger.values import StreamId, new_id

if TYPE_CHECKING:
    from ledger.backup.manifest import Manifest, WorkspaceBackup
    from ledger.deployment import Deployment
    from ledger.values import Position
    from runners.backup.checkpoints import Checked, Signed


class Recorder:
    """Makes the records of one restore: they share a correlation id."""

    def __init__(self, manifest: Manifest, deployment: Deployment | None, *, reason: str, now: datetime) -> None:
        self._manifest = manifest
        self._deployment = deployment
        self._reason = reason
        self._now = now
        self._correlation_id = new_id()
        self._actor = f"user:{getpass.getuser()}"

    def entry(
        self, workspace: WorkspaceBackup, checked: Checked, *, position: Position, after: datetime
    ) -> tuple[Entry, datetime]:
        """The entry that follows `position`, and its time, which is later than `after`."""
        recorded_at = max(self._now, after + CLOCK_TICK)
        event = self._event(workspace, checked, position)
        envelope = Envelope(
            actor=self._actor,
            causation_id=None,
            command_id=new_id(),
            correlation_id=self._correlation_id,
            data=msgspec.Raw(encode_data(event)),
            event_id=new_id(),
            occurred_at=self._now,
            position=position + 1,
            recorded_at=recorded_at,
            schema=event.schema,
            stream=str(StreamId(KIND, new_id())),
            type=event.type,
            version=1,
            workspace_id=workspace.id,
        )
        return entry_of(canonical(envelope)), recorded_at

    def _event(self, workspace: WorkspaceBackup, checked: Checked, position: Position) -> RestorationRecorded:
        newest = checked.newest()
        return RestorationRecorded(
            backup=self._manifest.number,
            backed_up_at=self._manifest.made_at.isoformat(),
            position=position,
            backup_position=workspace.position,
            origin=self._deployment.origin(workspace.id) if self._deployment and newest else "",
            checkpoint=_note(checked.last),
            abandoned=_note(newest) if newest != checked.last else "",
            reason=self._reason,
        )


def _note(signed: Signed | None) -> str:
    return signed.note if signed else ""
