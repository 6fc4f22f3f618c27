"""Why a program cannot start or go on. Each error has a stable code; its message is built here, once."""

from __future__ import annotations

from pathlib import Path


class RunnerError(Exception):
    """Root of everything the runners raise on purpose."""

    code: str
    exit_status = 8


class PortInUse(RunnerError):
    """Another program listens where the gateway should."""

    code = "port_in_use"

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"port {port} on {host} is used by another program; choose another with --port, or stop that program"
        )


class DiskFull(RunnerError):
    """The data directory's disk has no room."""

    code = "disk_full"

    def __init__(self, directory: Path, *, free_bytes: int, needed_bytes: int) -> None:
        self.directory, self.free_bytes, self.needed_bytes = directory, free_bytes, needed_bytes
        super().__init__(
            f"the disk of {directory} has {free_bytes // 2**20} MiB free, {needed_bytes // 2**20} MiB are needed; "
            "make room, or choose another directory with --data-dir"
        )


class DataDirNewer(RunnerError):
    """The directory was written by a newer Everline; running this one on it could damage it."""

    code = "data_dir_newer"

    def __init__(self, directory: Path, *, what: str, found: int, known: int) -> None:
        self.directory, self.what, self.found, self.known = directory, what, found, known
        super().__init__(f"{directory} has {what} {found}, this Everline knows {known}; upgrade Everline")


class DataDirUnreadable(RunnerError):
    """The directory cannot be used as one."""

    code = "data_dir_unreadable"

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(
            f"{directory} cannot be used: {reason}; correct that, or choose another directory with --data-dir"
        )


class DataDirForeign(RunnerError):
    """The directory holds something that is not Everline's."""

    code = "data_dir_foreign"

    def __init__(self, directory: Path, *, example: str) -> None:
        self.directory, self.example = directory, example
        super().__init__(
            f"{directory} is not empty and not Everline's (it holds {example!r}); choose another with --data-dir"
        )


class NoUnprivilegedAccount(RunnerError):
    """PostgreSQL refuses to run as root and there is nobody else to run it as."""

    code = "no_unprivileged_account"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(
            f"PostgreSQL refuses to run as root and there is no account {account!r}; "
            "create it, or start as another user"
        )


class ProgramFailed(RunnerError):
    """A program ended, or did not get ready, more often than the supervisor tolerates."""

    code = "component_failed"

    def __init__(self, name: str, *, reason: str, log_path: Path, log_tail: str) -> None:
        self.name, self.reason, self.log_path, self.log_tail = name, reason, log_path, log_tail
        tail = f", which ends with:\n{log_tail}" if log_tail else ", which is empty"
        super().__init__(f"{name} {reason}; look into {log_path}{tail}")


class StartFailed(RunnerError):
    """The supervisor in the background gave up; carries its error's code and words."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class TookTooLong(RunnerError):
    """The supervisor did not do in time what it was asked for; it may still be at it."""

    code = "timeout"

    def __init__(self, what: str, *, seconds: float) -> None:
        self.what, self.seconds = what, seconds
        super().__init__(f"the supervisor did not {what} within {seconds:.0f} s; see what `status` says")


EXIT_STATUS_BY_CODE = {
    "unknown_alias": 2,
    "owner_dsn_missing": 2,
    "workspace_not_found": 6,
    "already_placed": 7,
    "move_running": 7,
    "nothing_left": 7,
    "target_not_empty": 7,
}
"""Of the commands on placements: the exit codes of the command line, where it is not the server's fault."""


class MoveRefused(RunnerError):
    """A move that cannot begin or end; carries the code of what refused it."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.exit_status = EXIT_STATUS_BY_CODE.get(code, self.exit_status)
        super().__init__(message)


class MoveTookTooLong(RunnerError):
    """The workspace stays where it was."""

    code = "move_took_too_long"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; the workspace stays where it was, what was copied is kept for the next attempt")
