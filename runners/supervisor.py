"""Keeps a few programs running: starts them in stages, restarts what dies, and says so in a state file.

One thread, woken by signals. A program that dies again and again stops everything with an error; it is never
given up silently and never restarted without end.
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType

from runners.processes import Identity, Program, exit_text, failure, identify, launch, stop

RESTARTS_IN_A_ROW_MAX = 6
# A program that ran this long before it ended was not in a crash loop.
STABLE_SECONDS = 10.0
BACKOFF_SECONDS = 0.1
BACKOFF_SECONDS_MAX = 5.0
STARTING_POLL_SECONDS = 0.03

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class State(StrEnum):
    """What a supervised program does."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class StopRequested(Exception):
    """A signal asked to end."""


@dataclass
class Component:
    """A program, and what became of it."""

    program: Program
    state: State = State.WAITING
    process: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None
    since: float = 0.0
    restarts: int = 0
    failures_in_a_row: int = 0
    entered_monotonic: float = 0.0
    retry_monotonic: float = 0.0

    @property
    def name(self) -> str:
        return self.program.name


class Supervisor:
    """Owns the components; `changed` is called after each change of a state. While `lacks_room` says that the disk is
    full, a program that dies is started again and again: nothing else is wrong with it."""

    def __init__(self, changed: Callable[[Component], None], lacks_room: Callable[[], bool]) -> None:
        self.components: list[Component] = []
        self._changed = changed
        self._lacks_room = lacks_room
        self._stop_requested = False
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)

    def listen_to_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP stop the loop, and a child's end wakes it."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _sign, _frame: None)
        for sign in STOP_SIGNALS:
            if signal.getsignal(sign) is not signal.SIG_IGN:  # nohup asks to outlive its terminal
                signal.signal(sign, self._request_stop)

    def start(self, programs: Sequence[Program]) -> None:
        """Start a stage and block until all of it runs; whatever else dies meanwhile is restarted."""
        stage = [Component(program) for program in programs]
        self.components += stage
        for component in stage:
            self._launch(component)
        while any(component.state is not State.RUNNING for component in stage):
            self._turn()

    def run_once(self, program: Program) -> None:
        """Run a program to its end, which must be a good one."""
        process = launch(program)
        try:
            deadline = time.monotonic() + program.start_seconds_max
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise failure(program, f"did not end within {program.start_seconds_max:.0f} s")
                self._turn(STARTING_POLL_SECONDS)
        finally:
            stop(program, process)
        if process.returncode != 0:
            raise failure(program, f"ended with {exit_text(process.returncode)}")

    def keep_running(self, again: Callable[[], float | None]) -> None:
        """Restart what dies; returns only by `StopRequested` or `ProgramFailed`. `again` is asked before each wait for
        how long it may last at most."""
        while True:
            self._turn(again())

    def stop_all(self) -> None:
        """End everything in the reverse order of starting, before anybody is told: telling may fail."""
        for component in reversed(self.components):
            if component.process is not None:
                stop(component.program, component.process)
                component.process = component.identity = None
        for component in reversed(self.components):
            if component.state is not State.FAILED:
                self._enter(component, State.STOPPED)

    def _turn(self, seconds_max: float | None = None) -> None:
        """Wait for something to happen, and react to it."""
        self._wait(seconds_max)
        if self._stop_requested:
            raise StopRequested
        for component in self.components:
            self._look_after(component)

    def _look_after(self, component: Component) -> None:
        process = component.process
        now = time.monotonic()
        if process is None:
            if component.state is State.RESTARTING and now >= component.retry_monotonic:
                self._launch(component)
        elif process.poll() is not None:
            self._ended(component, exit_text(process.returncode))
        elif component.state is State.STARTING:
            if component.program.is_ready(process.pid):
                self._enter(component, State.RUNNING)
            elif now - component.entered_monotonic > component.program.start_seconds_max:
                stop(component.program, process)
                self._ended(component, f"not ready after {component.program.start_seconds_max:.0f} s")

    def _launch(self, component: Component) -> None:
        component.process = launch(component.program)
        component.identity = identify(component.process.pid)
        self._enter(component, State.STARTING)

    def _ended(self, component: Component, how: str) -> None:
        lasted_seconds = time.monotonic() - component.entered_monotonic
        was_stable = component.state is State.RUNNING and lasted_seconds > STABLE_SECONDS
        component.failures_in_a_row = 1 if was_stable else component.failures_in_a_row + 1
        component.process = component.identity = None
        if self._lacks_room():
            component.failures_in_a_row = min(component.failures_in_a_row, RESTARTS_IN_A_ROW_MAX)
        if component.failures_in_a_row > RESTARTS_IN_A_ROW_MAX:
            self._enter(component, State.FAILED)
            raise failure(component.program, f"ended {component.failures_in_a_row} times in a row (last: {how})")
        pause_seconds = min(BACKOFF_SECONDS * 2 ** (component.failures_in_a_row - 1), BACKOFF_SECONDS_MAX)
        component.retry_monotonic = time.monotonic() + pause_seconds
        component.restarts += 1
        self._enter(component, State.RESTARTING)

    def _enter(self, component: Component, state: State) -> None:
        component.state, component.since, component.entered_monotonic = state, time.time(), time.monotonic()
        self._changed(component)

    def _wait(self, seconds_max: float | None) -> None:
        """Sleep until a signal, or the next moment at which something is due."""
        limits = [] if seconds_max is None else [seconds_max]
        for component in self.components:
            if component.state is State.STARTING:
                limits.append(STARTING_POLL_SECONDS)
            elif component.state is State.RESTARTING:
                limits.append(max(0.0, component.retry_monotonic - time.monotonic()))
        if select.select([self._wake], [], [], min(limits, default=None))[0]:
            self._wake.recv(4096)

    def _request_stop(self, _sign: int, _frame: FrameType | None) -> None:
        self._stop_requested = True
