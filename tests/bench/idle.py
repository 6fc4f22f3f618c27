"""What a system costs that has nothing to do, and what it keeps after work; how long `everline up` takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import psutil

from tests.bench.processes import Memory, memory, memory_of
from tests.bench.report import Row, at_most
from tests.bench.stand import Stand, System

STARTS = 3
NOTHING = Memory(0, 0, 0)


def measure(stand: Stand) -> list[Row]:
    """On a system of its own that has done nothing yet; the one that worked is the stand's, if others used it."""
    fresh = System(stand.root / "idle")
    fresh.up()
    fresh.down()
    seconds: list[float] = []
    for number in range(STARTS):
        started = time.perf_counter()
        fresh.up()
        seconds.append(time.perf_counter() - started)
        if number < STARTS - 1:
            fresh.down()
    try:
        rows = [
            Row(
                "everline up, initialised directory",
                statistics.median(seconds),
                "s",
                detail=f"slowest of {STARTS}: {max(seconds):.2f} s",
                budget=at_most(3),
            ),
            *memory_rows("idle", used_by(fresh), budget=True),
        ]
        if "system" in stand.__dict__:
            rows += memory_rows("after the bench", used_by(stand.system), budget=False)
        return rows
    finally:
        fresh.down()


def used_by(system: System) -> dict[str, Memory]:
    """By each program; the supervisor without its children, which count by themselves."""
    return {**memory(system.pids), "supervisor": memory_of(psutil.Process(system.pid("supervisor")))}


def memory_rows(when: str, used: Mapping[str, Memory], *, budget: bool) -> list[Row]:
    total = sum(used.values(), NOTHING)
    shares = ", ".join(
        f"{name} {one.resident:.0f}/{one.proportional:.0f}/{one.unique:.0f}" for name, one in used.items()
    )
    return [
        Row(
            f"memory {when}, sum of resident sizes",
            total.resident,
            "MiB",
            detail=f"RSS/PSS/USS: {shares}",
            budget=at_most(400) if budget else None,
        ),
        Row(f"memory {when}, shared pages counted once", total.proportional, "MiB"),
    ]
