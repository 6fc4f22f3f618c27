"""`up`, `down` and `status` of a data directory, which has at most one supervisor: the holder of its lock."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from runners.backup.wal_archive import WalArchive
from runners.data_directory import FREE_BYTES_SPENT, DataDirectory
from runners.embedded import LOOPBACK, is_free
from runners.errors import DiskFull, PortInUse, ProgramFailed, RunnerError, StartFailed, TookTooLong
from runners.files import write_json
from runners.installation import GATEWAY, Installation
from runners.processes import end_orphan, identify, log_tail, wait_for_end
from runners.settings import SupervisorSettings
from runners.status import SUPERVISOR, ComponentStatus, Failure, Status, read_status, write_status
from runners.supervisor import Component, State, StopRequested, Supervisor

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 120.0
POLL_SECONDS = 0.03
TELL_AGAIN_SECONDS = 1.0
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def status(data_dir: Path) -> Status:
    """What runs now. Raises when the directory is not Everline's."""
    directory = DataDirectory(data_dir)
    directory.check()
    return read_status(directory.state)


def up(settings: SupervisorSettings, announce: Callable[[ComponentStatus], None]) -> Status | None:
    """Run everything until a signal; or, when it runs already, answer with what does."""
    directory = DataDirectory(settings.data_dir)
    directory.prepare()
    if not directory.lock():
        return _wait_until_running(directory, directory.is_unowned)
    _supervise(directory, settings, announce)
    return None


def up_detached(settings: SupervisorSettings, announce: Callable[[ComponentStatus], None]) -> Status | None:
    """Run everything in a process that stays, the child; the parent's answer, once all of it runs, is what does.

    None in the child, after its signal. An error of the start is raised in the parent.
    """
    directory = DataDirectory(settings.data_dir)
    directory.prepare()
    if not directory.lock():
        return _wait_until_running(directory, directory.is_unowned)
    # Forked, not started anew: a second interpreter would double the time to get here. The child inherits the lock.
    daemon = os.fork()
    if daemon == 0:
        _leave_terminal(directory)
        _supervise(directory, settings, announce)
        return None
    directory.unlock()
    return _wait_until_running(directory, lambda: os.waitpid(daemon, os.WNOHANG)[0] == daemon)


def down(data_dir: Path) -> bool:
    """Stop everything and return when it is gone; False when nothing ran."""
    directory = DataDirectory(data_dir)
    if not directory.check() or not directory.run.is_dir():
        return False
    supervisor = read_status(directory.state).supervisor
    if supervisor is None:
        return directory.lock() and _end_orphans(directory)
    os.kill(supervisor.pid, signal.SIGTERM)
    if not wait_for_end(supervisor, seconds_max=STOP_SECONDS_MAX):
        raise TookTooLong("stop", seconds=STOP_SECONDS_MAX)
    return True


def _supervise(
    directory: DataDirectory, settings: SupervisorSettings, announce: Callable[[ComponentStatus], None]
) -> None:
    try:
        _Session(directory, settings, announce).run()
    finally:
        directory.unlock()


def _leave_terminal(directory: DataDirectory) -> None:
    """Become a daemon: out of the terminal's session, and speaking to a log."""
    os.setsid()
    os.chdir("/")
    log = os.open(directory.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for opened, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(opened, standard)
    os.close(nothing)
    os.close(log)


class _Session:
    """One supervisor's life, told to others through the state file."""

    def __init__(
        self, directory: DataDirectory, settings: SupervisorSettings, announce: Callable[[ComponentStatus], None]
    ) -> None:
        self._directory = directory
        self._port = settings.port
        self._wal_archive = settings.wal_archive
        self._announce = announce
        self._supervisor = Supervisor(self._changed, self._lacks_room)
        self._since = time.time()
        self._identity = identify(os.getpid())
        self._url: str | None = None
        self._failure: Failure | None = None
        self._is_ready = False
        self._is_untold = False

    def run(self) -> None:
        try:
            self._run()
        except StopRequested:
            return
        except (ProgramFailed, OSError) as error:
            raise self._named(error) from error

    def _run(self) -> None:
        self._supervisor.listen_to_signals()
        _end_orphans(self._directory)
        self._publish()
        try:
            _check_port(self._port)
            self._start_and_watch()
        except RunnerError as error:
            self._failure = Failure(error.code, str(error))
            raise
        finally:
            self._is_ready = False
            self._directory.gateway_note.unlink(missing_ok=True)
            self._supervisor.stop_all()
            self._publish()

    def _start_and_watch(self) -> None:
        installation = Installation(self._directory, self._port, self._wal_archive)
        self._url = installation.url
        self._supervisor.start(installation.servers())
        if installation.archive is not None:
            self._start_archive(installation.archive)
        self._supervisor.run_once(installation.migration())
        self._supervisor.start(installation.workers())
        self._is_ready = True
        self._publish()
        self._note_gateway()
        self._supervisor.keep_running(self._tell_again)

    def _start_archive(self, archive: WalArchive) -> None:
        """Before anything is written: no commit is acknowledged without it."""
        self._supervisor.run_once(archive.slot())
        self._supervisor.start([archive.receiver()])
        copying = archive.base_copy()
        if copying is not None:
            self._supervisor.run_once(copying)
            archive.keep_base()

    def _changed(self, component: Component) -> None:
        self._publish()
        if self._is_ready and component.name == GATEWAY and component.state is State.RUNNING:
            self._note_gateway()
        self._announce(ComponentStatus.of(component))

    def _publish(self) -> None:
        rows = [ComponentStatus.of(component) for component in self._supervisor.components]
        found = Status(self._url, self._failure, self._is_ready, [self._own_row(), *rows])
        self._tell(lambda: write_status(self._directory.state, found))

    def _tell(self, write: Callable[[], None]) -> None:
        """Writes a small file for others; while the disk is full that has to wait, and everything else goes on."""
        try:
            write()
        except OSError as error:
            if not self._is_ready or error.errno not in NO_ROOM:
                raise
            self._is_untold = True

    def _tell_again(self) -> float | None:
        """Writes what could not be written; the seconds to the next try, if there has to be one."""
        if not self._is_untold:
            return None
        self._is_untold = False
        self._publish()
        self._note_gateway()
        return TELL_AGAIN_SECONDS if self._is_untold else None

    def _lacks_room(self) -> bool:
        """Whether a program that dies now, in the middle of its work, most probably does for want of room."""
        try:
            self._directory.check_room(FREE_BYTES_SPENT)
        except DiskFull:
            return self._is_ready
        return False

    def _own_row(self) -> ComponentStatus:
        if self._identity is None:
            raise ProcessLookupError(errno.ESRCH, "this process cannot find itself")
        return ComponentStatus(
            name=SUPERVISOR,
            state=State.RUNNING,
            pid=self._identity.pid,
            started=self._identity.started,
            since=self._since,
            address=str(self._directory.root),
            restarts=0,
        )

    def _note_gateway(self) -> None:
        """Where the SDK finds us."""
        gateway = next(one for one in self._supervisor.components if one.name == GATEWAY)
        pid = gateway.identity.pid if gateway.identity else None
        self._tell(lambda: write_json(self._directory.gateway_note, {"url": self._url, "pid": pid}))

    def _named(self, error: ProgramFailed | OSError) -> Exception:
        """`DiskFull` where that is what is behind it."""
        try:
            self._directory.check_room(FREE_BYTES_SPENT)
        except DiskFull as full:
            return full
        return error


def _wait_until_running(directory: DataDirectory, has_ended: Callable[[], bool]) -> Status:
    """Block until everything runs; raises what made the supervisor give up."""
    log_path = directory.supervisor_log
    log_size = log_path.stat().st_size if log_path.exists() else 0
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        ended = has_ended()
        found = read_status(directory.state)
        if found.is_running:
            return found
        if ended and found.failure is not None:
            raise StartFailed(found.failure.code, found.failure.message)
        if ended:
            tail = log_tail(log_path, after=log_size)
            raise ProgramFailed(SUPERVISOR, reason="ended while starting", log_path=log_path, log_tail=tail)
        if time.monotonic() > deadline:
            raise TookTooLong("start everything", seconds=START_SECONDS_MAX)
        time.sleep(POLL_SECONDS)


def _end_orphans(directory: DataDirectory) -> bool:
    """End what a dead supervisor left behind; needs the lock. Whether there was anything."""
    directory.gateway_note.unlink(missing_ok=True)
    orphans = [row for row in read_status(directory.state).components if row.identity and row.name != SUPERVISOR]
    for row in reversed(orphans):
        if row.identity is not None:
            sign = signal.SIGINT if row.name == "postgres" else signal.SIGTERM
            end_orphan(row.identity, sign, seconds_max=STOP_SECONDS_MAX)
    return bool(orphans)


def _check_port(port: int) -> None:
    if not is_free(port):
        raise PortInUse(LOOPBACK, port)
