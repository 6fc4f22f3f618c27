"""Who a deployment is to others: its name is the origin of its own log, and begins the origin of each workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.checkpoint import VerifierKey

if TYPE_CHECKING:
    from uuid import UUID

NAME_ID_DIGITS = 12


class Deployment(NamedTuple):
    """The identity that never changes. `id` is also the id of the deployment's own log."""

    id: UUID
    name: str
    public_key: bytes

    def origin(self, log_id: UUID) -> str:
        """The origin of a workspace's log, or of the deployment's own."""
        return self.name if log_id == self.id else f"{self.name}/{log_id}"

    def key(self, log_id: UUID) -> VerifierKey:
        """The key that a log's checkpoints are verified with."""
        return VerifierKey(self.origin(log_id), self.public_key)


def default_name(deployment_id: UUID) -> str:
    """The name of a deployment that nobody named: unique, and says nothing of the machine."""
    return f"everline-{deployment_id.hex[-NAME_ID_DIGITS:]}"
