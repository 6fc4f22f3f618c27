"""The object store that archives lie in: a directory (`file:///srv/archive`) or a bucket (`s3://bucket/prefix`).

Objects are made once and never replaced; credentials come from the environment as the store's own tools read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.archive.errors import ArchiveStoreUnusable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LOCAL = "file://"


class ArchiveStore:
    """One store by its URL. Raises ArchiveStoreUnusable for a URL that is none, and whenever it does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._store = _open(self.url)

    def place(self, path: str) -> str:
        """Where an object lies, for people."""
        return f"{self.url}/{path}"

    async def put_new(self, path: str, data: bytes) -> bool:
        """Durable when it returns; False, changing nothing, when there is such an object already."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            await self._store.put_async(path, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise ArchiveStoreUnusable(self.url, _first_line(error)) from error
        return True

    async def get(self, path: str) -> bytes | None:
        """None when there is no such object."""
        from obstore.exceptions import BaseError

        try:
            found = await self._store.get_async(path)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise ArchiveStoreUnusable(self.url, _first_line(error)) from error


def _open(url: str) -> ObjectStore:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        return from_url(url, mkdir=True) if url.startswith(LOCAL) else from_url(url)
    except (BaseError, ValueError, OSError, TypeError) as error:
        raise ArchiveStoreUnusable(url, _first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
