"""How far long work has come: a bar on a terminal, a line from time to time elsewhere; on stderr, never in answers."""

from __future__ import annotations

import sys
import time

LINE_SECONDS = 10.0
REDRAW_SECONDS = 0.1


class Progress:
    """Counts events of one piece of work. Safe to start again for the next piece."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._on_terminal = sys.stderr.isatty()
        self._every = REDRAW_SECONDS if self._on_terminal else LINE_SECONDS
        self._total = self._done = 0
        self._began = self._told = 0.0

    def start(self, total: int) -> None:
        """`total` events are to be done."""
        self._total, self._done = total, 0
        self._began = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            self._tell(now)

    def finish(self) -> float:
        """The seconds it took."""
        now = time.monotonic()
        if self._on_terminal and self._told > self._began:
            self._tell(now)
            sys.stderr.write("\n")
        return now - self._began

    def _tell(self, now: float) -> None:
        rate = self._done / max(now - self._began, 1e-6)
        share = 100 * self._done // max(self._total, 1)
        text = f"{self._what}: {self._done:,} of {self._total:,} events ({share} %), {rate:,.0f}/s"
        sys.stderr.write(f"\r{text}" if self._on_terminal else f"{text}\n")
        sys.stderr.flush()
