"""One program of the cluster as a supervisor keeps it: started again whenever it ends, and its ends counted."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from runners.processes import exit_text, launch, log_tail

if TYPE_CHECKING:
    from runners.processes import Program

POLL_SECONDS = 0.05
RESTART_SECONDS = 0.1
RESTARTS_IN_A_ROW_MAX = 20
ENOUGH_SECONDS = 90.0


class Process:
    """A program and whether it is meant to run. `ends` tells of every end that nobody asked for."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.ends: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._may_run = asyncio.Event()
        self._end_is_ours = False

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def start(self) -> None:
        """From now on it runs."""
        self._may_run.set()
        self._keeping = asyncio.create_task(self._keep_running(), name=self.name)
        await self.ready()

    async def ready(self) -> None:
        """Waits until it is ready. Raises the failure of a program that cannot be kept running."""
        ready = asyncio.create_task(self._is_ready.wait())
        assert self._keeping is not None
        await asyncio.wait({ready, self._keeping}, timeout=ENOUGH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._keeping.done():
            self._keeping.result()
        assert self._is_ready.is_set(), f"{self.name} is not ready:\n{log_tail(self.program.log_path)}"

    async def stop(self) -> None:
        """Ends it for good: politely first, by force when it takes too long."""
        self._may_run.clear()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._end(self.program.stop_signal)

    def send(self, number: signal.Signals) -> None:
        """To the program and, for a pause, to everything that it started."""
        if (pid := self.pid) is None:
            return
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            children = psutil.Process(pid).children() if number in (signal.SIGSTOP, signal.SIGCONT) else []
            for process in (psutil.Process(pid), *children):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        """Makes it end by this signal and keeps it down until `again`."""
        self._may_run.clear()
        self._end_is_ours = True
        await self._end(number)

    def again(self) -> None:
        """It may run again after `end`."""
        self._may_run.set()

    async def _end(self, number: signal.Signals) -> None:
        self.send(signal.SIGCONT)
        self.send(number)
        deadline = time.monotonic() + self.program.stop_seconds_max
        while self.pid is not None:
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
            await asyncio.sleep(POLL_SECONDS)

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            await self._may_run.wait()
            self._end_is_ours = False
            self._process = launch(self.program)
            await self._run_to_its_end(self._process)
            was_ready = self._is_ready.is_set()
            self._is_ready.clear()
            if not self._end_is_ours:
                failures = 0 if was_ready else failures + 1
                self.ends.append(f"{self.name} ended by itself: {exit_text(self._process.returncode)}")
                await asyncio.sleep(RESTART_SECONDS * failures)
            if failures > RESTARTS_IN_A_ROW_MAX:
                raise AssertionError(f"{self.name} cannot be started:\n{log_tail(self.program.log_path)}")

    async def _run_to_its_end(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if not self._is_ready.is_set() and self.program.is_ready(process.pid):
                self._is_ready.set()
            await asyncio.sleep(POLL_SECONDS)
