"""Waiting in tests: always for a condition, always with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_SECONDS = 0.02


def eventually(condition: Callable[[], Answer], *, seconds_max: float = 20.0) -> Answer:
    """The condition's first true answer; an AssertionError names its last one when the deadline passes."""
    deadline = time.monotonic() + seconds_max
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds_max:.0f} s, the last answer was {answer!r}"
        time.sleep(POLL_SECONDS)


async def until(condition: Callable[[], Awaitable[Answer]], *, seconds_max: float = 20.0) -> Answer:
    """The same for a condition that is awaited."""
    deadline = time.monotonic() + seconds_max
    while True:
        answer = await condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds_max:.0f} s, the last answer was {answer!r}"
        await asyncio.sleep(POLL_SECONDS)
