"""What Everline costs a person's own process: runs of steps that do nothing, and the time to import."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.bench.report import Row, at_most
from tests.bench.stand import Stand

RUNS = 10
THREE_STEP_MS, PER_STEP_MS, IMPORT_MS = 300, 10, 150
IMPORTS = 5
FEW_STEPS = 3
MANY_STEPS = 23


def measure(stand: Stand) -> list[Row]:
    """Rows against the running system. What a step costs is the difference between a long and a short run."""
    os.environ["EVERLINE_URL"] = stand.system.url
    few, worst = run_ms(FEW_STEPS)
    many, _ = run_ms(MANY_STEPS)
    per_step = (many - few) / (MANY_STEPS - FEW_STEPS)
    imports = statistics.median(import_ms() for _ in range(IMPORTS))
    return [
        Row(
            "SDK overhead per step",
            per_step,
            "ms",
            detail=f"{MANY_STEPS} steps against {FEW_STEPS}",
            budget=at_most(PER_STEP_MS),
        ),
        Row("three-step run, warm process", few, "ms", detail=f"worst {worst:.0f} ms", budget=at_most(THREE_STEP_MS)),
        Row(
            "import everline, new interpreter",
            imports,
            "ms",
            detail="interpreter start included",
            budget=at_most(IMPORT_MS),
        ),
    ]


def run_ms(steps: int) -> tuple[float, float]:
    """Median and worst time of a run with a chain of steps, in milliseconds."""
    import everline

    @everline.step
    def count(value: int) -> int:
        return value + 1

    @everline.pipeline(name=f"chain-of-{steps}")
    def chain() -> None:
        value: object = 0
        for _ in range(steps):
            value = count(value)  # type: ignore[arg-type]

    chain()
    times = [elapsed_ms(chain) for _ in range(RUNS)]
    return statistics.median(times), max(times)


def elapsed_ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def import_ms() -> float:
    return elapsed_ms(lambda: subprocess.run([sys.executable, "-c", "import everline"], check=True))
