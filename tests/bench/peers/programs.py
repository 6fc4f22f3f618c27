"""Starting a peer's server as a program of its own, and waiting until it answers."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.waiting import eventually

PROJECT = Path(__file__).parents[3]
START_SECONDS_MAX = 300
STOP_SECONDS_MAX = 20


@contextmanager
def program(
    command: Sequence[str], *, url: str, answers_at: str, environment: Mapping[str, str], log: Path
) -> Iterator[int]:
    """Its pid, once it answers; ended on the way out."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        eventually(lambda: has_ended(process) or is_up(url, answers_at), seconds_max=START_SECONDS_MAX)
        assert process.poll() is None, f"{command[0]} ended while starting:\n{log.read_text()[-4000:]}"
        yield process.pid
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def is_up(url: str, path: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
