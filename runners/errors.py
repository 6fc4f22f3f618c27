"""Why a program cannot start or go on. Each error has a stable code; its message is built here, once."""

from __future__ import annotations

from pathlib import Path


class RunnerError(Exception):
    """Root of everything the runners raise on purpose."""

    code: str
    exit_status = 8


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


class SettingsInvalid(RunnerError):
    """A variable of the environment is missing or wrong; the reason names it."""

    code = "settings_invalid"
    exit_status = 2

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the environment: {reason}")


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
    "workspace_archived": 7,
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


class Refused(RunnerError):
    """An error of another room that ends a command here; carries its code and words."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class PlaceUnusable(RunnerError):
    """The directory or bucket for backups cannot be read or written."""

    code = "backup_place_unusable"

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"{where} cannot be used: {reason}")


class PlaceTaken(RunnerError):
    """Another program wrote the same object first."""

    code = "backup_raced"

    def __init__(self, where: str, name: str) -> None:
        self.where, self.name = where, name
        super().__init__(f"another backup wrote {name} in {where} at the same time; that one counts, try again")


class NoBackup(RunnerError):
    """There is no such backup in this place."""

    code = "backup_not_found"

    def __init__(self, where: str, number: int | None = None) -> None:
        self.where, self.number = where, number
        which = "no backup" if number is None else f"no backup {number}"
        super().__init__(f"there is {which} in {where}; `everline backup list` shows what is there")


class LedgerAway(RunnerError):
    """PostgreSQL does not answer."""

    code = "ledger_unavailable"

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"PostgreSQL of {where} does not answer: {reason}; does it run? start it with `everline up`")


class RestoreUnfinished(RunnerError):
    """A restore into this directory was interrupted, or is going on."""

    code = "restore_unfinished"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"a restore into {directory} did not finish; repeat it, or delete the directory")


class UnknownWorkspace(RunnerError):
    """A point names a workspace that the backup does not have."""

    code = "workspace_not_found"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"the backup has no workspace {ref!r}; `everline backup verify` lists them")


class InvalidPoint(RunnerError):
    """What a restore should go up to is not understood."""

    code = "invalid_point"

    def __init__(self, written: str, reason: str) -> None:
        self.written, self.reason = written, reason
        super().__init__(f"{written!r} is no point to restore to: {reason}")


class DirectoryInUse(RunnerError):
    """Everline runs from the directory."""

    code = "data_dir_in_use"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"Everline runs from {directory}; stop it with `everline down`, or choose another directory")


class ArchiveForeign(RunnerError):
    """The archive has the log of another PostgreSQL, or of this one before it was restored."""

    code = "wal_archive_foreign"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"{directory} holds another PostgreSQL's log; choose a new directory with --wal-archive")


class ArchiveUnusable(RunnerError):
    """The archive's directory cannot be written."""

    code = "wal_archive_unusable"

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(f"{directory} cannot be used as an archive: {reason}")


class ArchiveIncomplete(RunnerError):
    """A part of the archived log is missing or damaged."""

    code = "wal_archive_incomplete"

    def __init__(self, directory: Path, *, reason: str) -> None:
        self.directory, self.reason = directory, reason
        super().__init__(f"the archive {directory} cannot be replayed to its end: {reason}")


class PostgresExists(RunnerError):
    """A log is only replayed where there is no PostgreSQL, whatever it holds."""

    code = "deployment_not_empty"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(f"{directory} exists; move it away, or choose another directory")


class CannotVerify(RunnerError):
    """The check could not be made; nothing is known of the history."""

    code = "cannot_verify"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"history could not be checked: {reason}")
