"""Where backups lie: a directory, or a bucket of an object store (S3, Google, Azure) by its URL.

Objects are written once. `create` refuses a name that is there, which is what orders two backups to one place.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from ledger.backup.errors import BackupIncomplete
from runners.errors import PlaceTaken, PlaceUnusable

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Place:
    """A directory or bucket (with a prefix, if the URL has a path)."""

    def __init__(self, where: str, *, must_exist: bool = False) -> None:
        self.where = where
        self._directory: Path | None = None
        if "://" not in where:
            self._directory = Path(where).expanduser().absolute()
        try:
            self._store: ObjectStore = self._open(must_exist=must_exist)
        except (BaseError, OSError, ValueError) as error:
            raise PlaceUnusable(where, _words(error)) from error

    def put(self, name: str, content: bytes) -> None:
        """Writes an object, durably; the same name always gets the same content."""
        self._write(name, content, create=False)

    def create(self, name: str, content: bytes) -> None:
        """Writes an object that must not be there yet. Raises PlaceTaken."""
        self._write(name, content, create=True)

    def get(self, name: str) -> bytes:
        """An object. Raises BackupIncomplete when it is gone."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (NotFoundError, FileNotFoundError):
            raise BackupIncomplete(name) from None
        except (BaseError, OSError) as error:
            raise PlaceUnusable(self.where, _words(error)) from error

    def names(self, prefix: str) -> dict[str, int]:
        """The objects below a prefix, with their sizes in bytes."""
        try:
            return {found["path"]: found["size"] for page in obstore.list(self._store, prefix) for found in page}
        except (BaseError, OSError) as error:
            raise PlaceUnusable(self.where, _words(error)) from error

    def delete(self, names: Collection[str]) -> None:
        """Removes objects for good, those that are gone already included."""
        try:
            if names:
                obstore.delete(self._store, sorted(names))
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise PlaceUnusable(self.where, _words(error)) from error

    def _open(self, *, must_exist: bool) -> ObjectStore:
        if self._directory is None:
            return from_url(self.where)
        if must_exist and not self._directory.is_dir():
            raise NotADirectoryError("there is no such directory")
        return LocalStore(self._directory, mkdir=True)

    def _write(self, name: str, content: bytes, *, create: bool) -> None:
        try:
            obstore.put(self._store, name, content, mode="create" if create else "overwrite")
            if self._directory is not None:
                _make_durable(self._directory / name, below=self._directory)
        except AlreadyExistsError:
            raise PlaceTaken(self.where, name) from None
        except (BaseError, OSError) as error:
            raise PlaceUnusable(self.where, _words(error)) from error


def _make_durable(file: Path, *, below: Path) -> None:
    """The content and every directory entry on the way to it reach the disk; the library leaves that to us."""
    while True:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if file == below:
            return
        file = file.parent


def _words(error: Exception) -> str:
    """What happened, without the library's debug output, which may hold more than a person should see."""
    return str(error).partition("\n")[0]
