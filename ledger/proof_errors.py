"""Why a proof, a checkpoint or a key is refused, and why the sealer does not sign. Each has a stable `code`."""

from __future__ import annotations

from ledger.errors import LedgerError
from ledger.values import Position


class ProofError(LedgerError):
    """Root of what is wrong with a proof, a checkpoint or a key; `code` is stable."""

    code: str


class CheckpointMalformed(ProofError):
    """Bytes that are no signed checkpoint."""

    code = "checkpoint_malformed"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this is no signed checkpoint: {reason}")


class CheckpointForeign(ProofError):
    """A checkpoint of another log."""

    code = "checkpoint_foreign"

    def __init__(self, origin: str, *, expected: str) -> None:
        self.origin, self.expected = origin, expected
        super().__init__(f"this checkpoint is of {origin}, not of {expected}")


class CheckpointUnsigned(ProofError):
    """A checkpoint without a valid signature of the key that is trusted: a wrong key, or an altered checkpoint."""

    code = "checkpoint_not_signed"

    def __init__(self, key_name: str, *, size: int) -> None:
        self.key_name, self.size = key_name, size
        super().__init__(
            f"the checkpoint of {key_name} at size {size} has no valid signature of the trusted key: "
            "another key signed it, or it was altered"
        )


class KeyMalformed(ProofError):
    """Text that is no verifier key."""

    code = "key_malformed"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this is no verifier key: {reason}")


class SignerFailed(ProofError):
    """The signer did not sign; nothing was sealed."""

    code = "signer_failed"


class TileTruncated(ProofError):
    """A stored tile lacks hashes that the tree's size says it must have."""

    code = "tile_truncated"

    def __init__(self, level: int, number: int, *, width: int, needed: int) -> None:
        self.level, self.number, self.width, self.needed = level, number, width, needed
        super().__init__(f"tile {level}/{number} holds {width} hashes where {needed} are needed")


class SigningKeyChanged(ProofError):
    """The sealer was given another key than the one that this deployment's checkpoints are signed with."""

    code = "signing_key_changed"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"the deployment {name} signs with another key than this one; give the sealer its key back "
            "(keys/checkpoint.pem of the data directory, or the signer command that was used before)"
        )


class NotSealedYet(ProofError):
    """No signed checkpoint reaches that far yet; the sealer runs about once a second."""

    code = "not_sealed_yet"
    retry_after_seconds = 1

    def __init__(self, asked: Position, *, sealed: Position) -> None:
        self.asked, self.sealed = asked, sealed
        super().__init__(f"{asked} is not under a signed checkpoint yet; the last one is at {sealed}")


class SealRefused(ProofError):
    """The log contradicts what was signed: nothing more is signed for it until somebody has looked."""


class HeadBehindCheckpoint(SealRefused):
    """Events that were sealed are gone, or the whole workspace is."""

    code = "head_behind_checkpoint"

    def __init__(self, position: Position, *, size: int) -> None:
        self.position, self.size = position, size
        super().__init__(f"the ledger ends at position {position}, but position {size} was sealed")


class CheckpointRewritten(SealRefused):
    """A checkpoint that was signed is not what is stored now."""

    code = "checkpoint_rewritten"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the stored checkpoint at size {size} is not the one that was signed")


class TilesDiverged(SealRefused):
    """The stored hashes do not lead to the root that was signed."""

    code = "tiles_diverged"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the stored tiles do not hash to the root that was signed at size {size}")


class EventMissing(SealRefused):
    """A position below the head has no event."""

    code = "event_missing"

    def __init__(self, position: Position) -> None:
        self.position = position
        super().__init__(f"there is no event at position {position}")


class HeadDiverged(SealRefused):
    """The events do not lead to the frontier that their appends left in the head row."""

    code = "head_diverged"

    def __init__(self, position: Position, *, sealed: int) -> None:
        self.position, self.sealed = position, sealed
        super().__init__(
            f"the leaf hashes of positions {sealed + 1} to {position} do not lead to the head's Merkle frontier"
        )


class LogUnknown(ProofError):
    """A witness was shown a checkpoint of a deployment that it does not watch."""

    code = "log_unknown"

    def __init__(self, origin: str) -> None:
        self.origin = origin
        super().__init__(f"no deployment is watched here that {origin} belongs to; add its key first")


class KeyConflict(ProofError):
    """A deployment of this name is watched under another key."""

    code = "key_conflict"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is watched already, under another key")


class CheckpointStale(ProofError):
    """The proof does not begin where the witness stands."""

    code = "checkpoint_stale"

    def __init__(self, origin: str, *, size: int) -> None:
        self.origin, self.size = origin, size
        super().__init__(f"the last checkpoint of {origin} that was witnessed has size {size}; prove from there")


class CheckpointForked(ProofError):
    """Two signed checkpoints of one log with one size and two roots: whoever signed them has two histories."""

    code = "checkpoint_forked"

    def __init__(self, origin: str, *, size: int) -> None:
        self.origin, self.size = origin, size
        super().__init__(f"{origin} was witnessed at size {size} with another root: its history was rewritten")


class CheckpointInconsistent(ProofError):
    """The log does not extend what was witnessed: a fork, or no proof."""

    code = "checkpoint_inconsistent"

    def __init__(self, origin: str, *, witnessed: int, size: int) -> None:
        self.origin, self.witnessed, self.size = origin, witnessed, size
        super().__init__(f"{origin} at size {size} was not shown to extend what was witnessed at size {witnessed}")
