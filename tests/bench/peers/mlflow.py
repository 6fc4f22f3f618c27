"""A real MLflow tracking server on PostgreSQL, asked through its REST API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import msgspec
import uvloop
from psycopg import conninfo

from runners.embedded import free_port
from tests.bench.load import Connection, connected
from tests.bench.peers.programs import program
from tests.bench.stand import Stand

API = "/api/2.0/mlflow"


class Server:
    """What is asked of it: the commands that a training loop sends."""

    def __init__(self, url: str, pids: dict[str, int]) -> None:
        self.url = url
        self.pids = pids
        self._run_id = ""

    async def open_run(self) -> None:
        """The run that parameters are logged to."""
        async with connected(self.url, 1) as (connection,):
            answer = await connection.post(f"{API}/runs/create", self._new_run())
            self._run_id = answer.json()["run"]["info"]["run_id"]

    async def log_parameter(self, connection: Connection) -> None:
        body = {"run_id": self._run_id, "key": uuid4().hex, "value": "0.5"}
        (await connection.post(f"{API}/runs/log-parameter", msgspec.json.encode(body))).json()

    async def create_run(self, connection: Connection) -> None:
        (await connection.post(f"{API}/runs/create", self._new_run())).json()

    @staticmethod
    def _new_run() -> bytes:
        return msgspec.json.encode({"experiment_id": "0", "run_name": uuid4().hex, "start_time": 0})


@contextmanager
def running(stand: Stand, python: Path) -> Iterator[Server]:
    """On the stand's PostgreSQL, in a database of its own, as `mlflow server` starts it: with its default workers."""
    database = stand.postgres.create_empty_database()
    known = conninfo.conninfo_to_dict(database.owner_dsn)
    store = f"postgresql+psycopg2://{known['user']}@/{known['dbname']}?host={quote(str(known['host']))}&port={known['port']}"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python), "-m", "mlflow", "server", "--port", str(port), "--backend-store-uri", store]
    command += ["--default-artifact-root", str(stand.root / "mlflow")]
    # On a busy machine its workers need longer than 5 s to import, and would be started anew for ever.
    command += ["--uvicorn-opts", "--timeout-worker-healthcheck 60"]
    # Its background jobs have no part in the requests measured here; seven idle processes would only slow the start.
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with program(command, url=url, answers_at="/health", environment=environment, log=stand.root / "mlflow.log") as pid:
        server = Server(url, {"server": pid, "postgres": stand.postgres.server.pid})
        uvloop.run(server.open_run())
        yield server
