"""Starting a peer's server as a program of its own, and waiting until it answers."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).parents[3]
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
POLL_SECONDS = 0.1


class PeerDidNotStart(Exception):
    """A peer's server ended or was silent while it should start; the rest of the bench goes on without it."""


@contextmanager
def program(
    command: Sequence[str], *, url: str, answers_at: str, environment: Mapping[str, str], log: Path
) -> Iterator[int]:
    """Its pid, once it answers; ended on the way out."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    try:
        wait_until_up(process, url=url, answers_at=answers_at, log=log)
        yield process.pid
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """The program and its workers, which are in its group; by force when they do not heed the signal."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_up(process: subprocess.Popen[bytes], *, url: str, answers_at: str, log: Path) -> None:
    """Raises PeerDidNotStart with the end of its log."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not is_up(url, answers_at):
        if process.poll() is not None or time.monotonic() > deadline:
            raise PeerDidNotStart(f"{url} does not answer; the end of its log:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


def is_up(url: str, path: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
