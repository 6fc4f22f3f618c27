"""A whole Everline for tests: driven through its operator's commands, as a person would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from runners.embedded import free_port
from runners.status import read_status
from tests.support.waiting import eventually

COMMAND_SECONDS_MAX = 50
START_SECONDS_MAX = 45


class Everline:
    """One data directory and the commands on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """One operator's command to its end, from a directory that is nobody's."""
        return subprocess.run(
            [*self.command(command), *options],
            cwd="/",
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def command(self, command: str) -> list[str]:
        return [sys.executable, "-P", "-m", "runners", command, "--data-dir", str(self.data_dir)]

    def up(self) -> None:
        """Start in the background; fails the test when that does not work."""
        done = self.run("up", "--detach", "--port", str(self.port))
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        """What `status -o json` says, with the components by name."""
        done = self.run("status", "-o", "json")
        answer: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == answer["running"], done.stderr
        return {**answer, "components": {row["name"]: row for row in answer["components"]}}

    def pid(self, name: str) -> int:
        return int(self.status()["components"][name]["pid"])

    def kill(self, name: str) -> int:
        """kill -9; the pid it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_ready(self) -> bool:
        """Whether the gateway says that it can serve."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_running(self) -> bool:
        """What the supervisor tells, read without the cost of a command: for waiting."""
        return read_status(self.data_dir / "run" / "state.json").is_running

    def wait_until_running(self) -> None:
        eventually(self.is_running, seconds_max=START_SECONDS_MAX)

    def wait_until_restarted(self, name: str, *, was: int) -> None:
        """Until everything runs, and that component under another pid."""
        state = self.data_dir / "run" / "state.json"
        eventually(
            lambda: (now := read_status(state)).is_running and was not in [row.pid for row in now.components],
            seconds_max=START_SECONDS_MAX,
        )
        assert self.pid(name) != was
        eventually(self.is_ready)

    def processes(self) -> list[str]:
        """Everything that works on the data directory, whoever started it."""
        root = str(self.data_dir)
        found = []
        for process in psutil.process_iter(["pid", "name", "cmdline", "environ", "cwd"]):
            known = process.info  # None where the process ended meanwhile, or is somebody else's
            command, environment = known["cmdline"] or [], known["environ"] or {}
            told = environment.get("EVERLINE_DATA_DIR") == root
            if told or root in " ".join(command) or (known["cwd"] or "").startswith(root):
                found.append(f"{known['pid']} {known['name']}")
        return found
