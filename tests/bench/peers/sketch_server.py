"""The bare FastAPI application as a running server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runners.embedded import free_port
from tests.bench.peers.programs import program
from tests.bench.stand import Stand


class Running(NamedTuple):
    """Where it answers, and who pays."""

    url: str
    pids: dict[str, int]


@contextmanager
def running(stand: Stand, python: Path) -> Iterator[Running]:
    """On the stand's PostgreSQL, in a database of its own, one worker."""
    database = stand.postgres.create_database()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python), "-m", "uvicorn", "tests.bench.peers.sketch_application:app", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    environment = {**os.environ, "SKETCH_DSN": database.owner_dsn}
    log = stand.root / "fastapi.log"
    with program(command, url=url, answers_at="/openapi.json", environment=environment, log=log) as pid:
        yield Running(url, {"server": pid, "postgres": stand.postgres.server.pid})
