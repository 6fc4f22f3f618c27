"""What the steps of a run wrote, read from where the steps say it lies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from everline.cli import output
from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure
from everline.cli.session import Session

POLL_SECONDS = 0.3
ENDED = frozenset({"completed", "failed", "cached", "stopped", "cancelled", "skipped"})
CHUNK_BYTES_MAX = 1 << 20

Row = dict[str, Any]


class NoSuchStep(CommandFailure):
    """The run has no step of that name."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class LogsUnreadable(CommandFailure):
    """The place that the step names cannot be read from here."""

    code = "logs_unreadable"


class Reader:
    """Follows the log of one step; knows how far it read, and holds back a line until its end is there."""

    def __init__(self, step: Row, *, prefix: str) -> None:
        self.name = step["name"]
        self._prefix = prefix
        self._offset = 0
        self._rest = b""

    def new_lines(self, uri: str) -> Iterator[str]:
        """The lines that were added since the last call."""
        while chunk := self._read(uri):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from (self._written(line) for line in lines)

    def last_line(self) -> Iterator[str]:
        """What stands after the last line end, once nothing more can come."""
        if self._rest:
            yield self._written(self._rest)
            self._rest = b""

    def _written(self, line: bytes) -> str:
        return f"{self._prefix}{line.decode(errors='replace')}\n"

    def _read(self, uri: str) -> bytes:
        import fsspec

        try:
            with fsspec.open(uri, "rb") as file:
                file.seek(self._offset)
                chunk: bytes = file.read(CHUNK_BYTES_MAX)
        except FileNotFoundError:
            return b""  # the step has not written yet
        except (OSError, ImportError, ValueError) as error:
            raise LogsUnreadable(
                f"cannot read {uri}: {error}", hint="run this where the artifact store can be reached"
            ) from None
        self._offset += len(chunk)
        return chunk


def print_logs(session: Session, ref: str, *, step: str | None, follow: bool) -> None:
    """Write the logs of a run to stdout, step after step; with `follow`, until the run has ended."""
    run = session.entity("runs", ref)
    readers: dict[str, Reader] = {}
    wrote = False
    while True:
        run = session.entity("runs", run["id"])
        for row in chosen_steps(session, run, step):
            reader = readers.setdefault(row["name"], Reader(row, prefix="" if step else f"{row['name']}  "))
            for line in lines_of(reader, row):
                sys.stdout.write(line)
                wrote = True
        sys.stdout.flush()
        if not follow or run["status"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if not wrote:
        output.note("nothing was written")


def lines_of(reader: Reader, row: Row) -> Iterator[str]:
    """The new lines of a step that has started; all of them once it has ended."""
    if row.get("logs_uri"):
        yield from reader.new_lines(row["logs_uri"])
    if row["status"] in ENDED:
        yield from reader.last_line()


def chosen_steps(session: Session, run: Row, step: str | None) -> list[Row]:
    """The steps of a run in the order they were planned, or the one that was named."""
    steps = sorted(session.every("steps", {"run_id": run["id"]})["items"], key=lambda row: row["created_position"])
    if step is None:
        return steps
    named = [row for row in steps if row["name"] == step]
    if not named:
        known = ", ".join(row["name"] for row in steps)
        raise NoSuchStep(f"run {run['name']} has no step {step!r}", hint=f"its steps: {known}")
    return named
