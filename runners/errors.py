"""Why a program cannot start or go on. Each error has a stable code; its message is built here, once."""

from __future__ import annotations

from pathlib import Path


class RunnerError(Exception):
    """Root of everything the runners raise on purpose."""

    code: str


class NoSuchWorkspace(RunnerError):
    """A name or id that is no workspace's."""

    code = "workspace_not_found"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"there is no workspace {ref!r}; see `everline workspace list`")


class NotRecorded(RunnerError):
    """The ledger refused to record what an operator's program did; repeat the program."""

    code = "not_recorded"

    def __init__(self, refused_code: str, reason: str) -> None:
        self.refused_code, self.reason = refused_code, reason
        super().__init__(f"the ledger refused to record this ({refused_code}): {reason}; run the command again")


class NotAMoment(RunnerError):
    """Text that is neither a position nor a time."""

    code = "invalid_moment"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is neither a position nor an RFC 3339 time such as 2026-11-23T20:00:00Z")


class MomentBeyondHead(RunnerError):
    """A moment that has not happened yet."""

    code = "as_of_beyond_head"


class PostgresAway(RunnerError):
    """The operator's program found no PostgreSQL to work on."""

    code = "postgres_away"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"PostgreSQL does not answer: {reason}; start it with `everline up`")


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
