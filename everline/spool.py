"""Spool files: commands that no server has answered yet, one JSON line each, one file per process.

A command is in its file before anything is sent and stays until it was answered, so neither a dead server nor a dead
process loses it. The process that lives holds a lock on its file; a file without one may be adopted by any other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everline.config import Target, spool_directory
from everline.ids import new_id

UNWRITTEN_BYTES_MAX = 64 << 20
"""Kept in memory while the disk refuses a file's lines."""

LINE_READ_BYTES = 1 << 16
SUFFIX = ".jsonl"
REFUSED_SUFFIX = ".refused"
DAMAGED_SUFFIX = ".damaged"
NOTE = b'{"acknowledged"'


@dataclass(frozen=True)
class Entry:
    """A command in the spool, and where its line ends in the file."""

    command: Mapping[str, Any]
    end: int
    size_bytes: int


class SpoolFull(Exception):
    """The disk refuses more lines and the memory for them is used up."""


class SpoolFile:
    """The commands of one process for one workspace, in order. Appending and acknowledging may happen in different
    threads."""

    def __init__(self, path: Path, descriptor: int, *, read_to: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._written = os.fstat(descriptor).st_size
        self._acknowledged = read_to
        self._unwritten = b""
        self._lock = threading.Lock()
        self._removed = False

    @property
    def drained(self) -> bool:
        """Every command was answered."""
        with self._lock:
            return self._removed or (self._acknowledged >= self._written and not self._unwritten)

    def append(self, command: Mapping[str, Any]) -> bool:
        """Adds a command; False when the file was drained and removed meanwhile: start another one. When the disk
        refuses it, it is kept in memory for the next time; raises SpoolFull when there is no room left."""
        line = json.dumps(command, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._lock:
            if self._removed:
                return False
            if len(self._unwritten) + len(line) > UNWRITTEN_BYTES_MAX:
                raise SpoolFull(str(self.path))
            self._unwritten += line
            self._write()
        return True

    def _write(self) -> None:
        """Writes what is unwritten, or none of it: half a line would join the next one."""
        try:
            count = os.write(self._descriptor, self._unwritten)
        except OSError:
            count = 0
        if count < len(self._unwritten):
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._written)
            return
        self._written += count
        self._unwritten = b""

    def waiting(self, *, count_max: int, size_bytes_max: int) -> list[Entry]:
        """The next commands to send, in order."""
        with self._lock:
            if self._removed:
                return []
            if self._unwritten:
                self._write()
            begin, end = self._acknowledged, self._written
        entries: list[Entry] = []
        size = 0
        for entry in read_entries(self._descriptor, begin, end):
            size += entry.size_bytes
            if entries and (len(entries) == count_max or size > size_bytes_max):
                break
            entries.append(entry)
        if not entries:
            self._nothing_waits(end)
        return entries

    def _nothing_waits(self, end: int) -> None:
        """Only notes were left up to there. Removes the file if nothing came after."""
        with self._lock:
            self._acknowledged = end
            self._remove_if_drained()

    def acknowledge(self, entry: Entry) -> None:
        """Everything up to this command was answered. The last answer removes the file."""
        with self._lock:
            self._acknowledged = entry.end
            if not self._remove_if_drained():
                self._note(json.dumps({"acknowledged": entry.end}).encode() + b"\n")

    def _note(self, note: bytes) -> None:
        """A note that the next process skips what was answered. Without it, only work is done twice: the server
        answers a command again by its id."""
        with contextlib.suppress(OSError):
            if os.write(self._descriptor, note) == len(note):
                self._written += len(note)
            else:
                os.ftruncate(self._descriptor, self._written)

    def refuse(self, entry: Entry, problem: Mapping[str, Any]) -> Path:
        """Puts a command aside with the reason, in a file beside this one."""
        path = self.path.with_name(self.path.name + REFUSED_SUFFIX)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"command": entry.command, "problem": problem}, ensure_ascii=False) + "\n")
        return path

    def _remove_if_drained(self) -> bool:
        if not self._removed and self._acknowledged >= self._written and not self._unwritten:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._removed = True
        return self._removed

    def abandon(self) -> None:
        """Leaves the file to another process."""
        if not self._removed:
            os.close(self._descriptor)
            self._removed = True

    def put_away(self) -> Path:
        """Gives up on a file that cannot be read, and keeps it under another name."""
        return self.path.rename(self.path.with_name(self.path.name + DAMAGED_SUFFIX))


def read_entries(descriptor: int, begin: int, end: int) -> Iterator[Entry]:
    """The commands between two places of a file, without the notes. Raises ValueError for a damaged line."""
    position = begin
    while (line := _line_at(descriptor, position, end)) is not None:
        position += len(line)
        document = json.loads(line)
        if "body" in document:
            yield Entry(document, position, len(line))


def _line_at(descriptor: int, position: int, end: int) -> bytes | None:
    """The line that begins at a position, with its line feed. Reads by position: the append moves no shared cursor."""
    line = b""
    while position + len(line) < end:
        chunk = os.pread(descriptor, min(LINE_READ_BYTES, end - position - len(line)), position + len(line))
        head, feed, _ = chunk.partition(b"\n")
        line += head + feed
        if feed or not chunk:
            return line if feed else None
    return None


def directory_of(target: Target) -> Path:
    """Where the files for one workspace of one server lie."""
    name = hashlib.sha256(f"{target.url}\n{target.workspace}".encode()).hexdigest()[:32]
    return spool_directory() / name


def new_file(target: Target) -> SpoolFile:
    """A file for this process, locked until it ends. Raises OSError."""
    directory = directory_of(target)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{os.getpid()}-{new_id()}{SUFFIX}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    header = json.dumps({"url": target.url, "workspace": target.workspace}).encode() + b"\n"
    os.write(descriptor, header)
    return SpoolFile(path, descriptor, read_to=len(header))


def leftovers(directory: Path) -> list[Path]:
    """The spool files in a directory, oldest first; some may belong to living processes."""
    return sorted(directory.glob(f"*{SUFFIX}"), key=lambda path: path.name.partition("-")[2])


def adopt(path: Path) -> SpoolFile | None:
    """Takes over the file of a process that ended; None when its process lives or the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not _taken(path, descriptor):
        os.close(descriptor)
        return None
    _cut_unfinished_line(descriptor)
    return SpoolFile(path, descriptor, read_to=_last_acknowledged(descriptor))


def _taken(path: Path, descriptor: int) -> bool:
    """Whether the lock is ours now, and on the file that the path still names."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def target_of(path: Path) -> Target | None:
    """The server and workspace that a file is for; None for a file without its first line."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
        return Target(header["url"], header["workspace"], stack="")
    except (OSError, ValueError, KeyError):
        return None


def _cut_unfinished_line(descriptor: int) -> None:
    """A process that died while it wrote leaves half a line: the command in it was never made."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        begin = max(0, end - LINE_READ_BYTES)
        feed = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if feed >= 0:
            end = begin + feed + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)


def _last_acknowledged(descriptor: int) -> int:
    """Where the unanswered commands begin."""
    end = os.fstat(descriptor).st_size
    position = reached = 0
    while (line := _line_at(descriptor, position, end)) is not None:
        position += len(line)
        if line.startswith(NOTE):
            reached = json.loads(line)["acknowledged"]
    return reached
