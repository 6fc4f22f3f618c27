"""Reading a backup back, checked: every object against its SHA-256, every leaf, every segment against the tree."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ledger import merkle
from ledger.backup import segment as segments
from ledger.backup.errors import BackupDamaged
from runners.backup import catalog, checkpoints
from runners.backup.checkpoints import Checked, deployment_of, refuse_untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.backup.manifest import Manifest, Segment, StoredObject, WorkspaceBackup
    from ledger.backup.segment import Entry
    from ledger.checkpoint import VerifierKey
    from runners.backup.place import Place
    from runners.progress import Progress


class Verified(NamedTuple):
    """What a check of a whole backup went through."""

    events: int
    objects: int
    size_bytes: int


def read_log(place: Place, workspace: WorkspaceBackup, frontier: list[bytes], checked: Checked) -> Iterator[Entry]:
    """The entries of one ledger in order; `frontier`, which starts empty, is that of all entries before the one that
    is yielded, and so are the checkpoints that were held against it. The next segment is fetched meanwhile.

    Raises BackupDamaged with the first position that is not what was backed up, BackupIncomplete, and
    CheckpointContradicted.
    """
    with ThreadPoolExecutor(1) as aside:
        coming: Future[bytes] | None = None
        for index, segment in enumerate(workspace.segments):
            content = coming.result() if coming else place.get(segment.entries.name)
            if index + 1 < len(workspace.segments):
                coming = aside.submit(place.get, workspace.segments[index + 1].entries.name)
            yield from _read_segment(workspace, segment, content, frontier, checked)


def _read_segment(
    workspace: WorkspaceBackup, segment: Segment, content: bytes, frontier: list[bytes], checked: Checked
) -> Iterator[Entry]:
    name = segment.entries.name
    position = segment.first - 1
    for entry in segments.read(name, content, first=segment.first, workspace_id=str(workspace.id)):
        position = entry.stored.position
        yield entry
        merkle.grow(frontier, position - 1, entry.leaf)
        checked.grown(position, frontier)
    if position != segment.last:
        raise BackupDamaged(name, "the events behind are missing", position=position + 1)
    if merkle.pack(frontier).hex() != segment.frontier:
        reason = f"the events up to {segment.last} are not those whose tree was backed up"
        raise BackupDamaged(name, reason, position=segment.first)
    if sha256(content).hexdigest() != segment.entries.sha256:
        raise BackupDamaged(name, "its SHA-256 is another")


def verify(place: Place, manifest: Manifest, *, trusted: VerifierKey | None, progress: Progress) -> Verified:
    """Reads everything that a restore would read. Raises BackupDamaged, BackupIncomplete, CheckpointContradicted, and
    KeyUntrusted when somebody else signed."""
    deployment = deployment_of(manifest)
    refuse_untrusted(deployment, trusted)
    progress.start(manifest.events)
    for workspace in manifest.workspaces:
        frontier: list[bytes] = []
        checked = Checked(checkpoints.read(place, workspace), workspace, deployment)
        for _ in read_log(place, workspace, frontier, checked):
            progress.advance(1)
        checked.verify_last()
        if merkle.pack(frontier).hex() != workspace.frontier:
            raise BackupDamaged(
                f"workspace {workspace.id}", "its events do not add up to its head", position=workspace.position
            )
    objects = [*_other_objects(manifest), *catalog.load(place).newest.values()]
    for wanted in objects:
        for _ in segments.inflate(wanted.name, catalog.fetch(place, wanted)):
            pass
    progress.finish()
    entries = [segment.entries for workspace in manifest.workspaces for segment in workspace.segments]
    everything = [*objects, *entries]
    return Verified(manifest.events, len(everything), sum(one.size_bytes for one in everything))


def _other_objects(manifest: Manifest) -> Iterator[StoredObject]:
    yield from manifest.tables.values()
    for workspace in manifest.workspaces:
        for segment in workspace.segments:
            yield segment.commands
        for stretch in workspace.checkpoints:
            yield stretch.rows
        if workspace.open_commands is not None:
            yield workspace.open_commands
