"""Where files lie: a folder of this machine, or anything fsspec can reach (s3://...).

A value appears at its place complete or not at all; credentials come from the environment only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

STAGING = ".staging"


class Store(Protocol):
    """A root below which values and logs are kept."""

    def staging(self) -> Path:
        """A new, empty local directory to write a value into."""

    def publish(self, directory: Path, key: str) -> str:
        """Moves a written directory to its place; answers its URI."""

    def write(self, key: str, content: bytes) -> None:
        """Puts one small file in its place at once."""

    def uri(self, key: str) -> str:
        """Where a key lies."""


class LocalStore:
    """A folder; values are written beside their place and renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def staging(self) -> Path:
        folder = self.root / STAGING
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder))

    def publish(self, directory: Path, key: str) -> str:
        place = self.root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o777 & ~_umask())  # mkdtemp's are private, but other people's processes read artifacts
        directory.replace(place)
        return str(place)

    def write(self, key: str, content: bytes) -> None:
        place = self.root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(place.name + ".new")
        new.write_bytes(content)
        new.replace(place)

    def uri(self, key: str) -> str:
        return str(self.root / key)


class RemoteStore:
    """An object store; the record in the ledger follows the last object, so nobody reads half a value."""

    def __init__(self, root: str, configuration: Mapping[str, Any]) -> None:
        self.root = root.rstrip("/")
        self._files = filesystem(root, configuration)

    def staging(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="everline-"))

    def publish(self, directory: Path, key: str) -> str:
        for name in file_names(directory):
            self._files.put_file(str(directory / name), f"{self.root}/{key}/{name}")
        shutil.rmtree(directory)
        return self.uri(key)

    def write(self, key: str, content: bytes) -> None:
        self._files.pipe_file(f"{self.root}/{key}", content)

    def uri(self, key: str) -> str:
        return f"{self.root}/{key}"


def open_store(configuration: Mapping[str, Any]) -> Store:
    """The store that an artifact store component configures. Raises ImportError when its driver is not installed."""
    root = str(configuration["path"])
    return RemoteStore(root, configuration) if "://" in root else LocalStore(Path(root))


def filesystem(uri: str, configuration: Mapping[str, Any]) -> Any:
    """fsspec's file system for a URI."""
    import fsspec

    protocol = uri.partition("://")[0]
    if protocol != "s3":
        return fsspec.filesystem(protocol)
    region, endpoint = configuration.get("region"), configuration.get("endpoint_url")
    return fsspec.filesystem(
        "s3",
        endpoint_url=endpoint,
        anon=bool(configuration.get("anonymous")),
        client_kwargs={"region_name": region} if region else {},
        use_listings_cache=False,
    )


@contextmanager
def fetched(uri: str, configuration: Mapping[str, Any]) -> Iterator[Path]:
    """The files of a value as a local directory, for as long as the block lasts. Raises FileNotFoundError."""
    if "://" not in uri:
        if not Path(uri).is_dir():
            raise FileNotFoundError(uri)
        yield Path(uri)
        return
    files = filesystem(uri, configuration)
    prefix = files._strip_protocol(uri).rstrip("/") + "/"  # noqa: SLF001 - fsspec's API for drivers and callers
    with tempfile.TemporaryDirectory(prefix="everline-") as directory:
        names = files.find(uri)
        if not names:
            raise FileNotFoundError(uri)
        for name in names:
            local = Path(directory) / name.removeprefix(prefix)
            local.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(name, str(local))
        yield Path(directory)


def exists(uri: str, configuration: Mapping[str, Any]) -> bool:
    """Whether a value still lies there."""
    if "://" not in uri:
        return Path(uri).is_dir()
    return bool(filesystem(uri, configuration).find(uri, maxdepth=1))


def file_names(directory: Path) -> list[str]:
    """The files below a directory by relative name, sorted."""
    return sorted(
        (Path(folder) / name).relative_to(directory).as_posix()
        for folder, _, names in os.walk(directory)
        for name in names
    )


def _umask() -> int:
    """The process's umask; there is no way to read it without setting it, so it is read once."""
    return _UMASK


_UMASK = os.umask(0o022)
os.umask(_UMASK)
