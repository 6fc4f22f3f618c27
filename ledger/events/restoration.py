"""A restoration: the record, in a restored ledger, of where it came from and where the history before it ends."""

from __future__ import annotations

from typing import ClassVar

from ledger.envelope import Event
from ledger.values import Position

KIND = "restoration"


class RestorationRecorded(Event, frozen=True):
    """The first event after what was restored. `backed_up_at` is RFC 3339; `backup_position` is where the ledger stood
    in the backup.

    A restored ledger is another log to witnesses, because checkpoints of the one before it may have been given out
    that it does not lead to. `origin` names that log (empty if nothing of it was ever signed), `checkpoint` is its
    last signed note that this ledger extends, and `abandoned` its last signed note in the backup that it does not.
    """

    type: ClassVar[str] = "restoration.recorded"

    backup: int
    backed_up_at: str
    position: Position
    backup_position: Position
    origin: str = ""
    checkpoint: str = ""
    abandoned: str = ""
    reason: str = ""


EVENTS = (RestorationRecorded,)
