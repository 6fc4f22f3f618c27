"""Orders to a writing process and its answers: JSON lines over its standard input and output.

Standard library only: peers run it in an environment of their own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests.bench.timings import Timings, side_by_side

PROJECT = Path(__file__).parents[2]


class Order(NamedTuple):
    """So many producers at once, for so long."""

    producers: int
    seconds: float


async def orders() -> AsyncIterator[Order]:
    """What this process is told, until its standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield Order(**json.loads(line))


def reply(timings: Timings) -> None:
    print(json.dumps(timings._asdict()), flush=True)


class Writers:
    """Several processes of one subject that obey the same orders, each with its share of the producers."""

    def __init__(self, command: Sequence[str], *, processes: int = 1) -> None:
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, text=True)
            for _ in range(processes)
        ]

    def run(self, producers: int, *, seconds: float) -> Timings:
        """One slice. Blocks until all of them are done."""
        share = max(1, producers // len(self._processes))
        for process in self._processes:
            print(json.dumps(Order(share, seconds)._asdict()), file=process.stdin, flush=True)
        return side_by_side(self._answer(process) for process in self._processes)

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> Timings:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{process.args} ended with {process.wait()}"
        return Timings(**json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()
