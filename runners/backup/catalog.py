"""The backups of one place, by number. A number is given out by creating its manifest, so no two backups share one."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.backup import manifest as manifests
from ledger.backup.errors import BackupDamaged
from ledger.postgres.migrate import migrations
from runners.errors import NoBackup

if TYPE_CHECKING:
    from ledger.backup.manifest import Manifest, StoredObject
    from runners.backup.place import Place

FOLDER = "backups"
_NAME = re.compile(rf"{FOLDER}/(\d{{8}})\.json")


def numbers(place: Place) -> list[int]:
    """The finished backups, oldest first."""
    found = (_NAME.fullmatch(name) for name in place.names(FOLDER))
    return sorted(int(match[1]) for match in found if match)


def newest(place: Place) -> Manifest | None:
    """The last finished backup."""
    known = numbers(place)
    return load(place, known[-1]) if known else None


def load(place: Place, number: int | None = None) -> Manifest:
    """One backup, the last one unless told. Raises NoBackup, BackupDamaged, BackupNewer."""
    known = numbers(place)
    if not known or (number is not None and number not in known):
        raise NoBackup(place.where, number)
    name = _name(known[-1] if number is None else number)
    return manifests.decode(name, place.get(name), schema_known=max(known for known, _, _ in migrations()))


def publish(place: Place, manifest: Manifest) -> None:
    """Makes a backup count. Raises PlaceTaken when another one got the number first."""
    place.create(_name(manifest.number), manifests.encode(manifest))


def fetch(place: Place, wanted: StoredObject) -> bytes:
    """An object, compared with what the manifest says of it. Raises BackupDamaged, BackupIncomplete."""
    content = place.get(wanted.name)
    if sha256(content).hexdigest() != wanted.sha256:
        raise BackupDamaged(wanted.name, "its SHA-256 is another")
    return content


def _name(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"
