"""The demo's own Everline: started in a directory on a free port, stopped and removed whatever happens.

A system that already ran in the given directory is used as it is and left running.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from everline.cli.failures import CommandFailure
from everline.cli.operator import operator_command

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
PORT_ATTEMPTS_MAX = 3


class DemoFailure(CommandFailure):
    """The demo's system could not be started or stopped."""

    code = "demo_failed"


class System(NamedTuple):
    """A running Everline."""

    url: str
    data_dir: Path


@contextmanager
def running(data_dir: Path | None, *, keep: bool) -> Iterator[System]:
    """Start a system, or use the one that runs in `data_dir`; undo what was done, also on Ctrl-C and SIGTERM."""
    directory = data_dir or Path(tempfile.mkdtemp(prefix="everline-demo-"))
    already = _url(directory) if data_dir else None
    kept = False
    with _sigterm_interrupts():
        try:
            with _interrupts_later():
                url = already or _start(directory)
            yield System(url, directory)
            kept = keep
        finally:
            if not kept:
                with _interrupts_later():
                    _clean_up(directory, stop=already is None, remove=data_dir is None)


def _start(directory: Path) -> str:
    """Start in the background; a port that somebody takes between choosing and using it costs another attempt."""
    for attempt in range(1, PORT_ATTEMPTS_MAX + 1):
        words = ("up", "--detach", "--data-dir", str(directory), "--port", str(_free_port()))
        started = _operator(*words, seconds_max=START_SECONDS_MAX)
        if started.returncode == 0:
            break
        if "port_in_use" not in started.stderr or attempt == PORT_ATTEMPTS_MAX:
            raise DemoFailure(f"the system did not start: {started.stderr.strip() or started.stdout.strip()}")
    url = _url(directory)
    if url is None:
        raise DemoFailure("the system started but does not say where", hint=f"everline status --data-dir {directory}")
    return url


def _clean_up(directory: Path, *, stop: bool, remove: bool) -> None:
    stopped = _operator("down", "--data-dir", str(directory), seconds_max=STOP_SECONDS_MAX) if stop else None
    if stopped is not None and stopped.returncode != 0:
        hint = f"everline down --data-dir {directory}"
        raise DemoFailure(f"the system did not stop: {stopped.stderr.strip() or stopped.stdout.strip()}", hint=hint)
    if remove:
        shutil.rmtree(directory)


def _url(directory: Path) -> str | None:
    """Where the system of a directory listens, if it runs."""
    answered = _operator("status", "--data-dir", str(directory), "-o", "json", seconds_max=STOP_SECONDS_MAX)
    try:
        status: dict[str, Any] = json.loads(answered.stdout)
    except ValueError:
        return None
    return status.get("url")


def _operator(*words: str, seconds_max: float) -> subprocess.CompletedProcess[str]:
    """Run the operator's program in a session of its own: a Ctrl-C meant for the demo must not hit it halfway."""
    command = operator_command(*words)
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise DemoFailure(f"`{' '.join(command)}` took longer than {seconds_max:.0f} s") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM becomes KeyboardInterrupt, so that it cleans up too."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """A Ctrl-C while servers start or stop counts afterwards: halfway it would leave them behind."""
    pending: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, _frame: pending.append(number)) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
    if pending:
        raise KeyboardInterrupt
