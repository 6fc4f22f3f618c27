"""What processes cost, from /proc: CPU time and memory of each program, its children included."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import psutil

MEBIBYTE = 2**20


class Memory(NamedTuple):
    """In MiB. Resident counts shared pages in each process, proportional divides them, unique leaves them out."""

    resident: float
    proportional: float
    unique: float

    def __add__(self, other: object) -> Memory:  # type: ignore[override]
        assert isinstance(other, Memory)
        return Memory(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """By name, since each program's start, with its children, those that ended too."""
    return {name: _cpu_of(pid) for name, pid in pids.items()}


def cpu_spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def shown_cpu(spent: Mapping[str, float], calls: int) -> str:
    """Microseconds of CPU for each call."""
    return "CPU us: " + ", ".join(f"{name} {seconds / calls * 1e6:.0f}" for name, seconds in spent.items())


def memory(pids: Mapping[str, int]) -> dict[str, Memory]:
    """By name, with children."""
    return {name: sum((memory_of(process) for process in _family(pid)), Memory(0, 0, 0)) for name, pid in pids.items()}


def memory_of(process: psutil.Process) -> Memory:
    """Of one process; nothing when it ended meanwhile."""
    try:
        info = process.memory_full_info()
    except psutil.NoSuchProcess:
        return Memory(0, 0, 0)
    return Memory(info.rss / MEBIBYTE, info.pss / MEBIBYTE, info.uss / MEBIBYTE)


def _cpu_of(pid: int) -> float:
    total = 0.0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):  # ended meanwhile: its parent has its time
            times = process.cpu_times()
            total += times.user + times.system
    ended = psutil.Process(pid).cpu_times()
    return total + ended.children_user + ended.children_system


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]
