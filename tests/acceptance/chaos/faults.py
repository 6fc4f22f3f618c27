"""What is broken, when, and for how long. The plan follows from the seed alone; `Faults` carries it out."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tests.acceptance.chaos.cluster import GATEWAYS, SERVERS
from tests.acceptance.chaos.proxy import Side

if TYPE_CHECKING:
    import random

    from tests.acceptance.chaos.cluster import Cluster

AT_ONCE_MAX = 3
LONG_SHARE = 0.12
LONG_SECONDS = (6.0, 9.0)
"""Longer than what the programs and PostgreSQL wait for each other."""

SHORT_SECONDS = (0.05, 1.5)
BETWEEN_SECONDS = (0.2, 1.6)

KINDS: dict[str, int] = {
    "kill": 16,
    "restart": 6,
    "pause": 14,
    "drop": 12,
    "stall": 8,
    "swallow": 12,
    "half-close-client": 4,
    "half-close-server": 4,
    "postgres-kill": 4,
    "postgres-immediate": 3,
    "postgres-restart": 2,
    "postgres-pause": 3,
    "backend-kill": 4,
    "backend-pause": 4,
    "nats-kill": 3,
    "nats-lose-directory": 4,
    "nats-pause": 3,
}
"""How often each kind comes, as weights."""

SIGNALS = {
    "kill": signal.SIGKILL,
    "restart": signal.SIGTERM,
    "postgres-kill": signal.SIGKILL,
    "postgres-immediate": signal.SIGQUIT,
    "postgres-restart": signal.SIGINT,
    "nats-kill": signal.SIGKILL,
    "nats-lose-directory": signal.SIGKILL,
}
"""What ends a program, for the kinds that end one."""


class Fault(NamedTuple):
    """`part` chooses among a server's processes, which nobody knows before; a number in [0, 1)."""

    number: int
    kind: str
    target: str
    seconds: float
    pause_seconds: float
    part: float

    def __str__(self) -> str:
        return f"#{self.number} {self.kind} {self.target} for {self.seconds:.2f} s"


def plan(chance: random.Random, count: int, *, programs: list[str], links: list[str]) -> list[Fault]:
    """That many faults, the same for the same chance and the same targets."""
    return [_fault(chance, number, programs=programs, links=links) for number in range(1, count + 1)]


def _fault(chance: random.Random, number: int, *, programs: list[str], links: list[str]) -> Fault:
    (kind,) = chance.choices(list(KINDS), weights=list(KINDS.values()))
    server, _, _ = kind.partition("-")
    if server in SERVERS:
        target = server
    elif server == "backend":
        target = "postgres"
    else:
        target = chance.choice(programs if kind in ("kill", "restart", "pause") else links)
    is_long = chance.random() < LONG_SHARE
    seconds = chance.uniform(*(LONG_SECONDS if is_long else SHORT_SECONDS))
    return Fault(number, kind, target, seconds, chance.uniform(*BETWEEN_SECONDS), chance.random())


class Faults:
    """Breaks and heals one cluster. `happened` tells what was done, in order."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._busy: set[str] = set()
        self._healing: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self.happened: list[str] = []

    async def inject(self, fault: Fault) -> None:
        """Waits until its target is whole and few others are broken, then breaks it; healing follows by itself."""
        while fault.target in self._busy or len(self._healing) >= AT_ONCE_MAX:
            await asyncio.wait(self._healing, return_when=asyncio.FIRST_COMPLETED)
        self._tell(f"{fault}")
        self._busy.add(fault.target)
        task = asyncio.create_task(self._break_and_heal(fault))
        self._healing.add(task)
        task.add_done_callback(self._healing.discard)
        await asyncio.sleep(fault.pause_seconds)

    async def heal(self) -> None:
        """Waits until everything is whole and runs."""
        await asyncio.gather(*self._healing)
        await self._cluster.all_ready()
        self._tell("whole")

    async def _break_and_heal(self, fault: Fault) -> None:
        try:
            if fault.kind in SIGNALS:
                await self._end(fault)
            elif fault.kind.startswith("backend"):
                await self._hit_backend(fault)
            elif fault.kind.endswith("pause"):
                await self._pause(fault)
            else:
                await self._cut(fault)
        finally:
            self._busy.discard(fault.target)

    async def _end(self, fault: Fault) -> None:
        process = self._cluster.processes[fault.target]
        await process.end(SIGNALS[fault.kind])
        if fault.kind == "nats-lose-directory":
            self._cluster.lose_nats_directory()
        await asyncio.sleep(min(fault.seconds, SHORT_SECONDS[1]))
        process.again()
        await process.ready()

    async def _pause(self, fault: Fault) -> None:
        process = self._cluster.processes[fault.target]
        process.send(signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        process.send(signal.SIGCONT)

    async def _hit_backend(self, fault: Fault) -> None:
        backends = self._cluster.backends()
        if not backends:
            return
        pid = backends[int(fault.part * len(backends))]
        with suppress(ProcessLookupError):
            if fault.kind == "backend-kill":
                os.kill(pid, signal.SIGKILL)
                return
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            os.kill(pid, signal.SIGCONT)

    async def _cut(self, fault: Fault) -> None:
        link = self._cluster.links[fault.target]
        match fault.kind:
            case "drop":
                link.drop()
            case "half-close-client":
                link.half_close(Side.CLIENT)
            case "half-close-server":
                link.half_close(Side.SERVER)
            case "stall":
                link.stall()
            case "swallow":
                link.swallow()
        await asyncio.sleep(fault.seconds)
        link.heal()

    def _tell(self, what: str) -> None:
        self.happened.append(f"{time.monotonic() - self._began:8.2f} s  {what}")


def targets(cluster: Cluster) -> tuple[list[str], list[str]]:
    """The programs and the connections that may be broken, in a fixed order."""
    programs = sorted(name for name in cluster.processes if name not in SERVERS)
    assert set(GATEWAYS) <= set(programs)
    return programs, sorted(cluster.links)
