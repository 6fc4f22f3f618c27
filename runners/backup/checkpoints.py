"""The signed checkpoints of a backup: read in order, held against the tree, and against the key one trusts."""

from __future__ import annotations

import codecs
import csv
from typing import TYPE_CHECKING, NamedTuple

from ledger import checkpoint, merkle
from ledger.backup.errors import BackupDamaged, CheckpointContradicted, KeyUntrusted
from ledger.backup.segment import inflate
from ledger.deployment import Deployment
from ledger.proof_errors import ProofError
from runners.backup import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.backup.manifest import Manifest, StoredObject, WorkspaceBackup
    from ledger.checkpoint import SignedCheckpoint, VerifierKey
    from runners.backup.place import Place


class Signed(NamedTuple):
    """A checkpoint as it was stored."""

    checkpoint: SignedCheckpoint
    note: str
    signed_at: str


def deployment_of(manifest: Manifest) -> Deployment | None:
    """Who signed what is in a backup."""
    known = manifest.deployment
    return None if known is None else Deployment(known.id, known.name, bytes.fromhex(known.public_key))


def refuse_untrusted(deployment: Deployment | None, trusted: VerifierKey | None) -> None:
    """Raises KeyUntrusted when the checkpoints are not those of the deployment that one knows."""
    if trusted is not None and (deployment is None or deployment.key(deployment.id) != trusted):
        raise KeyUntrusted(str(trusted), found=str(deployment.key(deployment.id)) if deployment else "")


def read(place: Place, workspace: WorkspaceBackup) -> Iterator[Signed]:
    """The checkpoints of one ledger by growing size. Raises BackupDamaged, BackupIncomplete."""
    for stretch in workspace.checkpoints:
        for row in _rows(stretch.rows.name, place, stretch.rows):
            try:
                yield Signed(checkpoint.parse(row["note"]), row["note"], row["signed_at"])
            except (ProofError, KeyError) as error:
                raise BackupDamaged(stretch.rows.name, str(error)) from error


class Checked:
    """Holds the checkpoints of one ledger against its tree while that grows; `last` is the last one that holds."""

    def __init__(self, signed: Iterable[Signed], workspace: WorkspaceBackup, deployment: Deployment | None) -> None:
        self._coming = iter(signed)
        self._workspace_id = workspace.id
        self._deployment = deployment
        self.next = next(self._coming, None)
        self.last: Signed | None = None

    def grown(self, size: int, frontier: list[bytes]) -> None:
        """The tree has this size now. Raises CheckpointContradicted when another one of this size was signed."""
        if self.next is None or self.next.checkpoint.checkpoint.size != size:
            return
        if self.next.checkpoint.checkpoint.root != merkle.root(frontier):
            raise CheckpointContradicted(self._workspace_id, position=size, reason="the events hash to another root")
        self.last, self.next = self.next, next(self._coming, None)

    def verify_last(self) -> None:
        """The last one that holds is signed by whom the backup says. Raises CheckpointContradicted."""
        if self.last is None:
            return
        signed = self.last.checkpoint
        try:
            if self._deployment is None:
                raise BackupDamaged("the manifest", "it does not say who signed")
            signed.verify(self._deployment.key(self._workspace_id))
        except ProofError as error:
            raise CheckpointContradicted(
                self._workspace_id, position=signed.checkpoint.size, reason=str(error)
            ) from error

    def newest(self) -> Signed | None:
        """The last of all; nothing follows."""
        newest = self.next or self.last
        for newest in self._coming:  # noqa: B007 - the last one is wanted
            pass
        return newest


def _rows(name: str, place: Place, wanted: StoredObject) -> Iterator[dict[str, str]]:
    text = codecs.iterdecode(inflate(name, catalog.fetch(place, wanted)), "utf-8")
    return csv.DictReader(_lines(text))


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Physical lines with their ends: what the csv module wants, which puts quoted ones together again."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (line + "\n" for line in whole)
    if rest:
        yield rest
