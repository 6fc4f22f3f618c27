"""Programs as operating-system processes: started with a log of their own, recognised later, ended for certain.

A pid alone proves nothing, because it is reused: a process is known by its pid and the moment it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.accounts import Account, before_exec
from runners.errors import ProgramFailed

LOG_BYTES_MAX = 16 * 2**20
LOG_TAIL_LINES_MAX = 15
LOG_TAIL_BYTES_MAX = 16 * 1024
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Identity:
    """A process that can be found again."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """True while this very process runs, not another one that got its pid."""
        return started_at(self.pid) == self.started


def at_once(_pid: int) -> bool:
    """For a program that has nothing to show: it is ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Program:
    """What to run, how to see that it is ready, and how to ask it to end."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log_path: Path
    address: str = ""
    is_ready: Callable[[int], bool] = at_once
    stop_signal: signal.Signals = signal.SIGTERM
    # What the kernel sends when the supervisor dies without a word.
    death_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None
    start_seconds_max: float = 30.0
    stop_seconds_max: float = 10.0


def launch(program: Program) -> subprocess.Popen[bytes]:
    """Start `program` in a process group of its own (Ctrl-C is the supervisor's), appending to its log."""
    program.log_path.parent.mkdir(parents=True, exist_ok=True)
    _rotate(program.log_path)
    with program.log_path.open("ab") as log:
        return subprocess.Popen(
            program.command,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=before_exec(program.account, program.death_signal),  # noqa: PLW1509  one thread, see there
        )


def _rotate(log_path: Path) -> None:
    """Keep a log that grew large as `.1`, in place of the one before it."""
    if log_path.exists() and log_path.stat().st_size > LOG_BYTES_MAX:
        log_path.replace(log_path.with_name(log_path.name + ".1"))


def wait_until_ready(program: Program, process: subprocess.Popen[bytes]) -> None:
    """Block until the program is ready; raises `ProgramFailed` when it ends or takes too long."""
    deadline = time.monotonic() + program.start_seconds_max
    while not program.is_ready(process.pid):
        if process.poll() is not None:
            raise failure(program, f"ended while starting ({exit_text(process.returncode)})")
        if time.monotonic() > deadline:
            raise failure(program, f"was not ready after {program.start_seconds_max:.0f} s")
        time.sleep(POLL_SECONDS)


def stop(program: Program, process: subprocess.Popen[bytes]) -> None:
    """End a child: politely, and after `stop_seconds_max` by force."""
    if process.poll() is not None:
        return
    process.send_signal(program.stop_signal)
    try:
        process.wait(program.stop_seconds_max)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_orphan(identity: Identity, stop_signal: signal.Signals, *, seconds_max: float) -> None:
    """End a process that a dead supervisor left behind, by force when it does not heed the signal."""
    for sign, seconds in ((stop_signal, seconds_max), (signal.SIGKILL, 5.0)):
        if not identity.is_alive():
            return
        os.kill(identity.pid, sign)
        wait_for_end(identity, seconds_max=seconds)


def wait_for_end(identity: Identity, *, seconds_max: float) -> bool:
    """Whether a process that is not our child ended in time."""
    deadline = time.monotonic() + seconds_max
    while identity.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def identify(pid: int) -> Identity | None:
    """The process that has this pid now, if any."""
    started = started_at(pid)
    return None if started is None else Identity(pid, started)


def started_at(pid: int) -> str | None:
    """When the process with this pid started, as the system tells it; None when there is none (or a zombie)."""
    if sys.platform != "linux":
        return _ask_ps(pid, "lstart=") or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start_ticks = fields[0], fields[19]  # fields 3 and 22 of proc_pid_stat(5)
    return None if state in "ZX" else start_ticks


def command_line(pid: int) -> list[str]:
    """What that process was started with; empty when there is none."""
    if sys.platform != "linux":
        return _ask_ps(pid, "args=").split()
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ask_ps(pid: int, column: str) -> str:
    command = ["/bin/ps", "-ww", "-o", column, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def failure(program: Program, reason: str) -> ProgramFailed:
    """The error for a program that ended, with the end of its log."""
    return ProgramFailed(program.name, reason=reason, log_path=program.log_path, log_tail=log_tail(program.log_path))


def log_tail(path: Path, *, after: int = 0) -> str:
    """The last lines of a log, of what was written behind byte `after`."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(after, size - LOG_TAIL_BYTES_MAX))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES_MAX:])


def exit_text(returncode: int) -> str:
    """An exit status in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"
