"""How long calls took: kept one by one, so that slices of several rounds and processes can be put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple


class Timings(NamedTuple):
    """How long each of many calls took, in seconds, how long all of them took together, and the caller's CPU time."""

    each: list[float]
    total: float
    cpu: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.each) / self.total

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.each)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    @property
    def spread(self) -> str:
        return f"p50 {self.quantile_ms(0.5):.2f} ms, p99 {self.quantile_ms(0.99):.2f} ms"


def one_after_another(slices: Iterable[Timings]) -> Timings:
    """Slices of one subject's time as one measurement."""
    slices = list(slices)
    each = [seconds for part in slices for seconds in part.each]
    return Timings(each, sum(part.total for part in slices), sum(part.cpu for part in slices))


def side_by_side(parts: Iterable[Timings]) -> Timings:
    """What several processes did in the same time."""
    parts = list(parts)
    each = [seconds for part in parts for seconds in part.each]
    return Timings(each, max(part.total for part in parts), sum(part.cpu for part in parts))


async def timed(call: Callable[[], Awaitable[object]], each: list[float]) -> None:
    """Awaits a call and notes how long it took."""
    started = time.perf_counter()
    await call()
    each.append(time.perf_counter() - started)


async def driven(call: Callable[[int], Awaitable[object]], producers: int, *, seconds: float) -> Timings:
    """Producers, each of which waits for its answer before it calls again; `call` is told which of them it is."""
    each: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    deadline = started + seconds

    async def produce(number: int) -> None:
        while time.perf_counter() < deadline:
            await timed(lambda: call(number), each)

    await asyncio.gather(*(produce(number) for number in range(producers)))
    return Timings(each, time.perf_counter() - started, time.process_time() - cpu)
