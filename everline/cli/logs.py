"""What the steps of a run wrote, read from where the steps say it lies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from everline.cli import output
from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure
from everline.cli.session import Session

POLL_SECONDS = 0.3
ENDED = frozenset({"completed", "failed", "cached", "stopped", "cancelled", "skipped"})

Row = dict[str, Any]


class NoSuchStep(CommandFailure):
    """The run has no step of that name."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class LogsUnreadable(CommandFailure):
    """The place that the step names cannot be read from here."""

    code = "logs_unreadable"


class Reader:
    """Reads the log of one attempt chunk by chunk, and holds back a line until its end is there."""

    def __init__(self, uri: str, configuration: Mapping[str, Any], *, prefix: str) -> None:
        self._uri, self._configuration, self._prefix = uri, configuration, prefix
        self._chunks_read = 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The lines that were added since the last call."""
        for chunk in self._new_chunks():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from (self._written(line) for line in lines)

    def last_line(self) -> Iterator[str]:
        """What stands after the last line end, once nothing more can come."""
        if self._rest:
            yield self._written(self._rest)
            self._rest = b""

    def _written(self, line: bytes) -> str:
        return f"{self._prefix}{line.decode(errors='replace')}\n"

    def _new_chunks(self) -> Iterator[bytes]:
        """The chunk files are named by number, and each is complete as soon as it is there."""
        try:
            for content in read_chunks(self._uri, self._configuration, after=self._chunks_read):
                self._chunks_read += 1
                yield content
        except (OSError, ImportError) as error:
            hint = "run this where the artifact store can be reached"
            raise LogsUnreadable(f"cannot read {self._uri}: {error}", hint=hint) from None


def read_chunks(uri: str, configuration: Mapping[str, Any], *, after: int) -> Iterator[bytes]:
    """The chunks of a log from the (`after` + 1)th on; none while nothing was written."""
    if "://" not in uri:
        yield from (path.read_bytes() for path in sorted(Path(uri).glob("*.log"))[after:])
        return
    from everline.artifacts.store import filesystem

    files = filesystem(uri, configuration)
    yield from (files.cat_file(name) for name in sorted(files.find(uri))[after:])


def print_logs(session: Session, ref: str, *, step: str | None, follow: bool) -> None:
    """Write the logs of a run to stdout, step after step; with `follow`, until the run has ended."""
    run = session.entity("runs", ref)
    configuration = store_configuration(session, run)
    readers: dict[str, Reader] = {}
    wrote = False
    while True:
        run = session.entity("runs", run["id"])
        for row in chosen_steps(session, run, step):
            for line in lines_of(row, readers, configuration, prefix="" if step else f"{row['name']}  "):
                sys.stdout.write(line)
                wrote = True
        sys.stdout.flush()
        if not follow or run["status"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if not wrote:
        output.note("nothing was written")


def lines_of(row: Row, readers: dict[str, Reader], configuration: Mapping[str, Any], *, prefix: str) -> Iterator[str]:
    """The new lines of a step's latest attempt; all of them once the step has ended."""
    uri = row.get("logs_uri")
    if not uri:
        return
    reader = readers.setdefault(uri, Reader(uri, configuration, prefix=prefix))
    yield from reader.new_lines()
    if row["status"] in ENDED:
        yield from reader.last_line()


def store_configuration(session: Session, run: Row) -> Mapping[str, Any]:
    """How the run's stack reaches its artifact store; nothing when the stack is gone: a local path needs nothing."""
    from everline.errors import NotFound

    try:
        stack = session.entity("stacks", run["stack_id"])
        store: Mapping[str, Any] = session.entity("components", stack["components"]["artifact_store"])["configuration"]
    except NotFound:
        return {}
    return store


def chosen_steps(session: Session, run: Row, step: str | None) -> list[Row]:
    """The steps of a run in the order they were planned, or the one that was named."""
    steps = sorted(session.every("steps", {"run_id": run["id"]})["items"], key=lambda row: row["index"])
    if step is None:
        return steps
    named = [row for row in steps if row["name"] == step]
    if not named:
        known = ", ".join(row["name"] for row in steps)
        raise NoSuchStep(f"run {run['name']} has no step {step!r}", hint=f"its steps: {known}")
    return named
