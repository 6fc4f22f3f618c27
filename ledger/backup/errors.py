"""Why a backup cannot be made, or is not to be trusted. Each error has a stable code; its message is built here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import LedgerError

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.values import Position


class BackupError(LedgerError):
    """Root of what is wrong with backups."""

    code: str


class BackupDamaged(BackupError):
    """Something of a backup is not what was written."""

    code = "backup_corrupt"

    def __init__(self, name: str, reason: str, *, position: Position | None = None) -> None:
        self.name, self.reason, self.position = name, reason, position
        where = "" if position is None else f" at position {position}"
        super().__init__(f"{name} is damaged{where}: {reason}; take another backup, or another copy of this one")


class BackupIncomplete(BackupError):
    """An object that a backup is made of is gone."""

    code = "backup_incomplete"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is missing from the backup; take another backup, or another copy of this one")


class BackupNewer(BackupError):
    """A newer program made the backup; this one could misread it."""

    code = "backup_newer"

    def __init__(self, name: str, *, what: str, found: int, known: int) -> None:
        self.name, self.what, self.found, self.known = name, what, found, known
        super().__init__(f"{name} has {what} {found}, this Everline knows {known}; upgrade Everline")


class LedgerDamaged(BackupError):
    """The log in PostgreSQL does not hash to what its head says: somebody or something changed it."""

    code = "ledger_corrupt"

    def __init__(self, workspace_id: UUID, *, position: Position, reason: str) -> None:
        self.workspace_id, self.position, self.reason = workspace_id, position, reason
        super().__init__(
            f"the ledger of workspace {workspace_id} is damaged at position {position}: {reason}; "
            "nothing was backed up, the backups made before are as they were"
        )


class BackupDiverged(BackupError):
    """The place holds backups of another history: of another deployment, or from before a restore."""

    code = "backup_diverged"

    def __init__(self, workspace_id: UUID, *, position: Position) -> None:
        self.workspace_id, self.position = workspace_id, position
        super().__init__(
            f"the backups there have another history of workspace {workspace_id} up to position {position} than this "
            "deployment (it is another one, or was restored to an earlier point); choose another place"
        )


class PositionBeyondBackup(BackupError):
    """A point that the backup does not reach."""

    code = "position_beyond_backup"

    def __init__(self, workspace_id: UUID, *, asked: Position, last: Position) -> None:
        self.workspace_id, self.asked, self.last = workspace_id, asked, last
        super().__init__(f"the backup of workspace {workspace_id} ends at position {last}, before {asked}")


class PositionInsideBatch(BackupError):
    """A point in the middle of what was recorded together."""

    code = "position_inside_batch"

    def __init__(self, workspace_id: UUID, *, asked: Position, recorded_at: str) -> None:
        self.workspace_id, self.asked, self.recorded_at = workspace_id, asked, recorded_at
        super().__init__(
            f"position {asked} of workspace {workspace_id} lies inside a batch that was recorded as a whole; "
            f"--to {recorded_at} takes all of it"
        )


class ClaimsDiffer(BackupError):
    """The claims that follow from the events are not those that the ledger had."""

    code = "claims_differ"

    def __init__(self, workspace_id: UUID, *, reason: str) -> None:
        self.workspace_id, self.reason = workspace_id, reason
        super().__init__(
            f"the claims of workspace {workspace_id} are not what its events say: {reason}; "
            "--derived-claims restores those that follow from the events"
        )


class NotEmpty(BackupError):
    """A restore needs a deployment without history."""

    code = "deployment_not_empty"

    def __init__(self, where: str, *, events: int) -> None:
        self.where, self.events = where, events
        super().__init__(f"{where} holds {events} events already; restore into an empty deployment")


class CheckpointContradicted(BackupError):
    """A signed checkpoint says otherwise than the events of the backup: one of them was exchanged."""

    code = "checkpoint_contradicted"

    def __init__(self, workspace_id: UUID, *, position: Position, reason: str) -> None:
        self.workspace_id, self.position, self.reason = workspace_id, position, reason
        super().__init__(
            f"the signed checkpoint of workspace {workspace_id} at position {position} contradicts the backup: {reason}"
        )


class KeyUntrusted(BackupError):
    """The checkpoints of the backup are signed by somebody else than one trusts."""

    code = "wrong_key"

    def __init__(self, trusted: str, *, found: str) -> None:
        self.trusted, self.found = trusted, found
        super().__init__(f"the backup is signed by {found or 'nobody'}, not by {trusted}")
