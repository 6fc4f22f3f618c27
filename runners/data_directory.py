"""The directory that `everline up` keeps everything in, and the lock that makes one supervisor its owner.

A directory that cannot be used is refused before anything in it is touched.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

from runners.embedded import POSTGRES_MAJOR
from runners.errors import DataDirForeign, DataDirNewer, DataDirUnreadable, DiskFull, RestoreUnfinished
from runners.files import read_json, write_json

FORMAT = 1
# A new cluster takes 60 MiB; the rest is room for its log to grow until somebody reads the warning.
FREE_BYTES_MIN = 256 * 2**20
# Below this, a program that failed most probably failed for want of room.
FREE_BYTES_SPENT = 24 * 2**20
MARK = "everline.json"
# Lies here until a restore into a new directory is finished.
RESTORING = "restoring.json"
# What a fresh volume, or an interrupted first start, may hold.
_HARMLESS = {"lost+found", MARK + ".new"}


class DataDirectory:
    """Names the places below `root`: postgres, nats, run, logs, keys."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self.keys = self.root / "keys"
        self.supervisor_log = self.logs / "supervisor.log"
        self.state = self.run / "state.json"
        self.gateway_note = self.run / "gateway.json"
        self.signing_key = self.root / "keys" / "checkpoint.pem"
        self.witness_key = self.root / "keys" / "witness.pem"
        self.restoring = self.root / RESTORING
        self._lock: int | None = None

    def check(self) -> bool:
        """Whether this is an Everline directory (False: absent or empty); raises when it must not be used."""
        try:
            names = set(os.listdir(self.root)) - _HARMLESS  # noqa: PTH208  names, not paths
        except FileNotFoundError:
            return False
        except OSError as error:
            raise DataDirUnreadable(self.root, error.strerror or str(error)) from error
        if MARK in names:
            self._check_mark()
            return True
        if names:
            raise DataDirForeign(self.root, example=min(names))
        return False

    def prepare(self, *, to_restore: bool = False) -> None:
        """Make what is missing; refuse a disk without room, and what an interrupted restore left."""
        known = self.check()
        if self.restoring.exists() and not to_restore:
            raise RestoreUnfinished(self.root)
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "it cannot be written to")
            self.check_room()
            if not known:
                write_json(self.root / MARK, {"format": FORMAT, "postgres_major": POSTGRES_MAJOR})
            self.run.mkdir(mode=0o700, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._as_refusal(error) from error

    def check_room(self, needed_bytes: int = FREE_BYTES_MIN) -> None:
        """Raises `DiskFull` when less than that is free."""
        free_bytes = shutil.disk_usage(self.root).free
        if free_bytes < needed_bytes:
            raise DiskFull(self.root, free_bytes=free_bytes, needed_bytes=needed_bytes)

    def lock(self) -> bool:
        """Become the directory's owner until this process ends; False when another process is."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def is_unowned(self) -> bool:
        """Whether nobody is the owner at this moment."""
        is_ours = self.lock()
        self.unlock()
        return is_ours

    def unlock(self) -> None:
        """Give the directory up; its lock file stays, because removing it would race with the next owner."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_mark(self) -> None:
        try:
            mark: dict[str, Any] = read_json(self.root / MARK)
            found = {"format": int(mark["format"]), "PostgreSQL": int(mark["postgres_major"])}
        except OSError as error:
            raise DataDirUnreadable(self.root, error.strerror or str(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise DataDirUnreadable(self.root, f"its {MARK} is damaged ({error})") from error
        for what, known in (("format", FORMAT), ("PostgreSQL", POSTGRES_MAJOR)):
            if found[what] > known:
                raise DataDirNewer(self.root, what=what, found=found[what], known=known)

    def _as_refusal(self, error: OSError) -> Exception:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(self.root, free_bytes=0, needed_bytes=FREE_BYTES_MIN)
        return DataDirUnreadable(self.root, error.strerror or str(error))
