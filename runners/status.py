"""What a supervisor tells other programs: the state file it keeps, and how that reads after the supervisor died."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from runners.files import write_private
from runners.processes import Identity
from runners.supervisor import Component, State

SUPERVISOR = "supervisor"
ORPHANED = "orphaned"


class ComponentStatus(msgspec.Struct, frozen=True):
    """One row of `status`. `since` is the Unix time at which it entered its state."""

    name: str
    state: str
    pid: int | None
    started: str | None
    since: float
    address: str
    restarts: int

    @classmethod
    def of(cls, component: Component) -> ComponentStatus:
        """A component as its supervisor sees it."""
        identity = component.identity
        return cls(
            name=component.name,
            state=component.state,
            pid=identity.pid if identity else None,
            started=identity.started if identity else None,
            since=component.since,
            address=component.program.address,
            restarts=component.restarts,
        )

    @property
    def identity(self) -> Identity | None:
        """The process, while it is alive."""
        if self.pid is None or self.started is None:
            return None
        identity = Identity(self.pid, self.started)
        return identity if identity.is_alive() else None

    def as_dict(self) -> dict[str, Any]:
        """For `status -o json`; pid and uptime only of what is alive."""
        alive = self.identity is not None
        return {
            "name": self.name,
            "state": self.state,
            "pid": self.pid if alive else None,
            "uptime_seconds": round(time.time() - self.since, 1) if alive else None,
            "address": self.address,
            "restarts": self.restarts,
        }


class Failure(msgspec.Struct, frozen=True):
    """Why a supervisor gave up."""

    code: str
    message: str


class Status(msgspec.Struct, frozen=True):
    """Everything of one data directory; the supervisor is the first component."""

    url: str | None = None
    failure: Failure | None = None
    is_ready: bool = False
    components: list[ComponentStatus] = []

    @property
    def supervisor(self) -> Identity | None:
        """The supervisor, while it is alive."""
        return next((row.identity for row in self.components if row.name == SUPERVISOR), None)

    @property
    def is_running(self) -> bool:
        """Whether every part runs, the supervisor included."""
        return self.is_ready and all(row.state == State.RUNNING for row in self.components)

    def as_dict(self) -> dict[str, Any]:
        """For `status -o json`."""
        return {
            "running": self.is_running,
            "url": self.url if self.is_running else None,
            "error": msgspec.to_builtins(self.failure),
            "components": [row.as_dict() for row in self.components],
        }


def write_status(path: Path, status: Status) -> None:
    """Replace the state file."""
    write_private(path, msgspec.json.encode(status).decode())


def read_status(path: Path) -> Status:
    """The state file, corrected by what is really alive; empty when nothing ever ran."""
    try:
        written = msgspec.json.decode(path.read_bytes(), type=Status)
    except FileNotFoundError:
        return Status()
    if written.supervisor is not None:
        return written
    return msgspec.structs.replace(
        written, is_ready=False, components=[_unsupervised(row) for row in written.components]
    )


def _unsupervised(row: ComponentStatus) -> ComponentStatus:
    if row.state == State.FAILED:
        return row
    return msgspec.structs.replace(row, state=ORPHANED if row.identity else State.STOPPED.value)
