"""The key files of a data directory (`keys/`): never in a backup of the ledger, and kept apart when asked.

Who holds a backup and the keys holds everything; who holds one of them does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runners.files import write_private

if TYPE_CHECKING:
    from runners.backup.place import Place

FOLDER = "keys"


class Stored(NamedTuple):
    """Which key files there are, and where they went: nowhere, if `where` is empty."""

    files: tuple[str, ...]
    where: str


def left_out(data_dir: Path) -> Stored:
    """The key files that a backup does not have."""
    return Stored(tuple(file.name for file in _files(data_dir)), "")


def store(data_dir: Path, place: Place) -> Stored:
    """Copies the key files to a place of their own."""
    files = _files(data_dir)
    for file in files:
        place.put(f"{FOLDER}/{file.name}", file.read_bytes())
    return Stored(tuple(file.name for file in files), place.where)


def bring_back(place: Place, data_dir: Path) -> Stored:
    """Copies the key files into a data directory, readable by their owner only."""
    names = sorted(place.names(FOLDER))
    for name in names:
        write_private(data_dir / name, place.get(name).decode())
    return Stored(tuple(Path(name).name for name in names), str(data_dir / FOLDER))


def _files(data_dir: Path) -> list[Path]:
    folder = data_dir.expanduser() / FOLDER
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
