"""The checkpoints that this machine has seen of a server: whoever remembers one is a witness.

One small file per server in the user's state directory. A server that later shows a log which does not extend what was
seen has rewritten it, whatever its own database says.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from everline.config import state_directory
from everline.errors import EverlineError
from everline.proof.verify import Broken, Checkpoint, Key, proves_consistency

if TYPE_CHECKING:
    from everline.proof.log import Log


class MemoryUnreadable(EverlineError):
    """What was remembered of a server cannot be read: it must not be taken for nothing."""

    code = "memory_unreadable"


class Remembered:
    """What is remembered of one server."""

    def __init__(self, url: str) -> None:
        self._path = state_directory() / "proof" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        self._url = url
        self._key, self._notes = _read(self._path)

    def key(self, shown: Key) -> Key:
        """The key that the server showed first. Raises Broken when it shows another one now."""
        if self._key is None:
            self._key = shown.text
        if self._key != shown.text:
            raise Broken(
                "signing_key_changed",
                f"the server signs with {shown.text}, it was {self._key}; if it is another deployment on purpose, "
                f"remove {self._path}",
            )
        return shown

    def follow(self, log: Log, shown: Checkpoint) -> None:
        """Remembers a verified checkpoint, once the server has shown that it extends the one that was seen last."""
        note = self._notes.get(shown.origin)
        if note is not None:
            seen = Checkpoint(note)
            if shown.size < seen.size:
                raise _rewritten(seen, shown, "the log has shrunk")
            proof = log.consistency(seen.size, shown.size)
            if not proves_consistency(seen.size, shown.size, proof, seen.root, shown.root):
                raise _rewritten(seen, shown, "the log does not extend what was seen")
        self._notes[shown.origin] = shown.note

    def seen(self, origin: str) -> Checkpoint | None:
        """The last checkpoint of a log that was seen."""
        note = self._notes.get(origin)
        return None if note is None else Checkpoint(note)

    def sizes(self) -> dict[str, int]:
        """The size of every log that was seen."""
        return {origin: Checkpoint(note).size for origin, note in self._notes.items()}

    def save(self) -> None:
        """Replaces the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        new.write_text(json.dumps({"url": self._url, "key": self._key, "checkpoints": self._notes}, indent=2) + "\n")
        new.replace(self._path)


def _read(path: Path) -> tuple[str | None, dict[str, str]]:
    try:
        document = json.loads(path.read_text())
        return document["key"], dict(document["checkpoints"])
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MemoryUnreadable(
            f"{path} cannot be read: {error!r}", hint="restore it, or remove it to begin anew"
        ) from error


def _rewritten(seen: Checkpoint, shown: Checkpoint, what: str) -> Broken:
    """Where exactly they part cannot be told from two roots alone."""
    return Broken(
        "history_rewritten",
        f"{what}: {seen.origin} was signed at size {seen.size}, and its present size {shown.size} contradicts that;"
        " both checkpoints are signed, which convicts whoever signed them",
        position=1,
        last=seen.size,
    )
