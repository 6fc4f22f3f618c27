"""What steps print, kept apart although they run side by side: stdout, stderr and logging, per step.

While runs are in progress `sys.stdout` and `sys.stderr` are proxies that ask a context variable which step is
writing. The terminal shows every line with the step's name before it; the step's log gets it as it was written.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

CHUNK_BYTES = 64 * 1024
CHUNK_SECONDS = 1.0
CHUNK_NUMBER_DIGITS = 6


class StepLog:
    """The log of one attempt: chunk files `000000.log`, `000001.log`, ... that together are what it wrote.

    A chunk is written when 64 KiB are there or a second has passed, so the log can be read while the step runs.
    """

    def __init__(self, name: str, write_chunk: Callable[[str, bytes], None]) -> None:
        self.name = name
        self._write_chunk = write_chunk
        self._buffer = bytearray()
        self._chunks = 0
        self._lock = threading.Lock()
        self._in_order = threading.Lock()
        self._lines: dict[int, str] = {}
        self.trouble: Exception | None = None

    def add(self, text: str, terminal: TextIO) -> None:
        """Something was written to a stream: whole lines go to the terminal, all of it to the log."""
        with self._lock:
            self._buffer += text.encode("utf-8", "replace")
            is_full = len(self._buffer) >= CHUNK_BYTES
            *lines, rest = (self._lines.pop(id(terminal), "") + text).split("\n")
            if rest := rest.rpartition("\r")[2]:  # a progress bar draws over its line: the last drawing counts
                self._lines[id(terminal)] = rest
        if is_full:
            self.flush()
        if lines:
            terminal.write("".join(f"[{self.name}] {line}\n" for line in lines))

    def flush(self) -> None:
        """Writes what is buffered as a chunk; the step goes on printing meanwhile."""
        with self._in_order:
            with self._lock:
                chunk = bytes(self._buffer)
                self._buffer.clear()
            if chunk:
                self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        """A log that cannot be written is trouble to be told, not a reason to stop the step."""
        try:
            self._write_chunk(f"{self._chunks:0{CHUNK_NUMBER_DIGITS}d}.log", chunk)
            self._chunks += 1
        except Exception as error:  # drivers of stores raise what they like
            self.trouble = error

    def close(self, terminals: tuple[TextIO, ...]) -> None:
        """The attempt ended: unfinished lines and the last chunk."""
        with self._lock:
            for terminal in terminals:
                if rest := self._lines.pop(id(terminal), ""):
                    terminal.write(f"[{self.name}] {rest}\n")
        self.flush()


_writing: ContextVar[StepLog | None] = ContextVar("everline_log", default=None)


class StreamProxy(io.TextIOBase):
    """Stands for a standard stream: a step's output goes to the step's log, everything else straight on."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        log = _writing.get()
        if log is None:
            return self.terminal.write(text)
        log.add(text, self.terminal)
        return len(text)

    def flush(self) -> None:
        self.terminal.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        """A step's lines are taken apart: programs should not draw progress bars into them."""
        return _writing.get() is None and self.terminal.isatty()

    def fileno(self) -> int:
        return self.terminal.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.terminal.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


class _Capture:
    """The proxies, while at least one run is in progress, and the thread that flushes logs every second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._logs: set[StepLog] = set()
        self._ended = threading.Event()
        self._out: StreamProxy | None = None
        self._err: StreamProxy | None = None
        self._handlers: list[tuple[logging.StreamHandler[Any], Any]] = []

    def enter(self) -> None:
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._install()

    def leave(self) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs == 0:
                self._uninstall()

    def _install(self) -> None:
        self._out, self._err = StreamProxy(sys.stdout), StreamProxy(sys.stderr)
        proxies = {id(sys.stdout): self._out, id(sys.stderr): self._err}
        for handler in _stream_handlers():
            if id(handler.stream) in proxies:
                self._handlers.append((handler, handler.stream))
                handler.stream = proxies[id(handler.stream)]
        sys.stdout, sys.stderr = self._out, self._err
        self._ended = threading.Event()
        threading.Thread(target=self._flush_often, args=(self._ended,), name="everline-logs", daemon=True).start()

    def _uninstall(self) -> None:
        """Puts back what is still ours: a step may have replaced a stream for good."""
        self._ended.set()
        if sys.stdout is self._out and self._out is not None:
            sys.stdout = self._out.terminal
        if sys.stderr is self._err and self._err is not None:
            sys.stderr = self._err.terminal
        for handler, stream in self._handlers:
            if isinstance(handler.stream, StreamProxy):
                handler.stream = stream
        self._handlers.clear()

    def _flush_often(self, ended: threading.Event) -> None:
        while not ended.wait(CHUNK_SECONDS):
            for log in list(self._logs):
                log.flush()

    @contextmanager
    def step(self, log: StepLog) -> Iterator[None]:
        token = _writing.set(log)
        self._logs.add(log)
        try:
            yield
        finally:
            _writing.reset(token)
            self._logs.discard(log)
            log.close(tuple(proxy.terminal for proxy in (self._out, self._err) if proxy is not None))


_capture = _Capture()


@contextmanager
def capturing() -> Iterator[None]:
    """Steps' output can be told apart inside this block; several runs may be in progress."""
    _capture.enter()
    try:
        yield
    finally:
        _capture.leave()


def captured(log: StepLog) -> Any:
    """What this thread writes inside the block belongs to a step. Threads that the step starts by itself are not
    known to belong to it: their output goes to the terminal only."""
    return _capture.step(log)


def _stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    """Every handler of the logging module that writes to a stream."""
    loggers = [logging.root, *(each for each in logging.root.manager.loggerDict.values())]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
