"""A value to files and back: the materializer is chosen, the files are hashed, and what is read is what was written."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everline.artifacts.materializer import key, materializer_for, materializers
from everline.artifacts.store import fetched, file_names
from everline.artifacts.suitability import Unsuitable, type_name
from everline.errors import ArtifactNotLoadable, IntegrityError, OutputNotStorable

if TYPE_CHECKING:
    from everline.artifacts.materializer import Materializer
    from everline.artifacts.store import Store

READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Stored:
    """What is recorded of a stored value. `content_hash` is `sha256:<hex>` over the names and bytes of its files."""

    uri: str
    artifact_type: str
    data_type: str
    materializer: str
    content_hash: str
    size_bytes: int


def store_value(value: Any, store: Store, *, key_in_store: str, what: str) -> Stored:
    """Stores a value at its place. Raises OutputNotStorable, which names `what`."""
    directory: Path | None = None
    try:
        directory = store.staging()
        materializer = _write(value, directory)
        content_hash, size_bytes = digest(directory)
        uri = store.publish(directory, key_in_store)
    except Exception as error:  # whatever a materializer, a pickled object or a disk raises fails this value only
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
        raise OutputNotStorable(f"{what} ({type_name(value)}) cannot be stored: {_why(error)}") from error
    return Stored(uri, materializer.artifact_type, type_name(value), key(materializer), content_hash, size_bytes)


def _write(value: Any, directory: Path) -> Materializer:
    """Lets the first materializer that can do it write the value."""
    for materializer in materializers():
        if not materializer.handles(value):
            continue
        try:
            materializer.save(value, directory)
        except Unsuitable:
            for leftover in directory.iterdir():
                leftover.unlink()
        else:
            return materializer
    raise Unsuitable("no materializer handles it")


def load_version(version: Mapping[str, Any], *, store: Mapping[str, Any]) -> Any:
    """The value of an artifact version as recorded in the ledger. Raises ArtifactNotLoadable and IntegrityError."""
    uri = str(version["uri"])
    materializer, written_by = materializer_for(str(version["materializer"]))
    try:
        with fetched(uri, store) as directory:
            _check(directory, version)
            return materializer.load(directory, written_by)
    except FileNotFoundError as error:
        raise ArtifactNotLoadable(f"there is nothing at {uri}", hint="was the artifact store emptied?") from error
    except IntegrityError:
        raise
    except Exception as error:  # a pickle, a driver or a format may raise anything
        raise ArtifactNotLoadable(f"{uri} cannot be loaded: {type(error).__name__}: {error}") from error


def _check(directory: Path, version: Mapping[str, Any]) -> None:
    """Raises IntegrityError unless the files are those that were recorded."""
    found, _ = digest(directory)
    if found != version["content_hash"]:
        raise IntegrityError(
            f"the files at {version['uri']} are not what was recorded: {found} instead of {version['content_hash']}",
            hint="restore them from a backup, or run the step again",
        )


def digest(directory: Path) -> tuple[str, int]:
    """The content hash and the size of a directory's files: per file, in the order of their names, the length and
    bytes of the name, then the length and bytes of the content (lengths as 8 bytes, big-endian)."""
    sha256, total = hashlib.sha256(), 0
    for name in file_names(directory):
        encoded, size = name.encode(), (directory / name).stat().st_size
        sha256.update(len(encoded).to_bytes(8, "big") + encoded + size.to_bytes(8, "big"))
        with (directory / name).open("rb") as file:
            while chunk := file.read(READ_BYTES):
                sha256.update(chunk)
        total += size
    return f"sha256:{sha256.hexdigest()}", total


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
