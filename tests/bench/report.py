"""A row of the bench: a value, its unit, the reference it is compared with, and the ratio; as a table and as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One measurement. `ratio` is value / reference for rates and reference / value for times: more is better."""

    name: str
    value: float
    unit: str
    reference: str
    ratio: float | None
    detail: str = ""


class Timings(NamedTuple):
    """How long each of many calls took, in seconds, and how long all of them took together."""

    each: list[float]
    total: float

    @property
    def per_second(self) -> float:
        return len(self.each) / self.total

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.each)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    @property
    def spread(self) -> str:
        return f"p50 {self.quantile_ms(0.5):.2f} ms, p99 {self.quantile_ms(0.99):.2f} ms"


async def timed(call: Callable[[], Awaitable[object]], each: list[float]) -> None:
    """Awaits a call and notes how long it took."""
    started = time.perf_counter()
    await call()
    each.append(time.perf_counter() - started)


def print_report(rows: list[Row]) -> None:
    """The table on stdout; with BENCH_JSON=FILE also the rows as JSON."""
    table = Table("what", "value", "unit", "ratio", "reference", "detail")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        table.add_row(row.name, f"{row.value:,.2f}", row.unit, ratio, row.reference, row.detail)
    Console(width=160).print(table)
    if target := os.environ.get("BENCH_JSON"):
        fields = ("name", "value", "unit", "reference", "ratio")
        Path(target).write_text(
            json.dumps([{field: getattr(row, field) for field in fields} for row in rows], indent=2) + "\n"
        )
