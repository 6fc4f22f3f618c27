"""What Everline costs a person's own process: a three-step run in a warm interpreter, and the time to import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.bench.report import Row

RUNS = 10
IMPORTS = 5


def measure(url: str) -> list[Row]:
    """Rows against a running system; the steps themselves do nothing."""
    import os

    os.environ["EVERLINE_URL"] = url
    import everline

    @everline.step(cache=False)
    def first() -> int:
        return 1

    @everline.step(cache=False)
    def second(value: int) -> int:
        return value + 1

    @everline.step(cache=False)
    def third(value: int) -> int:
        return value + 1

    @everline.pipeline
    def three_steps() -> None:
        third(second(first()))

    three_steps()
    seconds = [elapsed(three_steps) for _ in range(RUNS)]
    run_ms = statistics.median(seconds) * 1000
    imports_ms = statistics.median(import_seconds() for _ in range(IMPORTS)) * 1000
    return [
        Row("three-step run, warm process", run_ms, "ms", "", None, f"worst {max(seconds) * 1000:.0f} ms"),
        Row("SDK overhead per step", run_ms / 3, "ms", "", None, "the whole run divided by its steps"),
        Row("import everline, new interpreter", imports_ms, "ms", "", None, "interpreter start included"),
    ]


def elapsed(call: object) -> float:
    started = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - started


def import_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import everline"], check=True)
    return time.perf_counter() - started
