"""One running system for all acceptance tests of a session, used only from outside: the CLI and HTTP."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from everline.cli.main import run

START_SECONDS_MAX = 90
COMMAND_SECONDS_MAX = 60


class Answer(NamedTuple):
    """What a command ended with and wrote."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Everline:
    """A running system and the command line that talks to it, with configuration and caches of its own."""

    url: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVERLINE_")}
        return inherited | {
            "EVERLINE_URL": self.url,
            "EVERLINE_CONFIG": str(self.directory / "config.toml"),
            "EVERLINE_SPOOL_DIR": str(self.directory / "spool"),
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "XDG_STATE_HOME": str(self.directory / "state"),
            "NO_COLOR": "1",
        }

    def run(self, *words: str, code: int = 0, **changed: str) -> Answer:
        """Run `everline WORDS` in this process, which must end with `code`; `changed` are environment variables."""
        stdout, stderr = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, Path(os.devnull).open() as nothing:
            for name in [name for name in os.environ if name.startswith("EVERLINE_")]:
                patch.delenv(name)
            for name, value in (self.environment | changed).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", nothing)
            patch.chdir(self.directory)
            with redirect_stdout(stdout), redirect_stderr(stderr):
                ended = run(words)
        return self._checked(Answer(ended, stdout.getvalue(), stderr.getvalue()), words, code)

    def process(self, *words: str, code: int = 0, **changed: str) -> Answer:
        """The same in a process of its own."""
        return self._checked(self._ended(words, changed), words, code)

    def attempt(self, *words: str) -> str:
        """All that a process says, whatever it ends with."""
        ended = self._ended(words, {})
        return ended.stdout + ended.stderr

    def _ended(self, words: tuple[str, ...], changed: dict[str, str]) -> Answer:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "everline"), *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self.environment | changed,
            cwd=self.directory,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def _checked(answer: Answer, words: tuple[str, ...], code: int) -> Answer:
        assert answer.code == code, (
            f"everline {' '.join(words)} ended with {answer.code}\n{answer.stdout}\n{answer.stderr}"
        )
        return answer

    def json(self, *words: str, code: int = 0) -> Any:
        """What `everline WORDS -o json` answers."""
        return json.loads(self.run(*words, "-o", "json", code=code).stdout)

    def problem(self, *words: str, code: int) -> dict[str, Any]:
        """The problem on stderr of a command that must be refused; nothing may be on stdout."""
        done = self.run(*words, "-o", "json", code=code)
        assert done.stdout == ""
        problem: dict[str, Any] = json.loads(done.stderr)
        return problem


@pytest.fixture(scope="session")
def everline() -> Iterator[Everline]:
    """The session's system."""
    directory = Path(tempfile.mkdtemp(prefix="everline-acceptance-"))
    directory.chmod(0o755)
    home = directory / "home"
    home.mkdir()
    port = free_port()
    operator = [sys.executable, "-P", "-m", "runners"]
    started = subprocess.run(
        [*operator, "up", "--detach", "--data-dir", str(directory / "data"), "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=START_SECONDS_MAX,
        check=False,
    )
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Everline(f"http://127.0.0.1:{port}", home)
    finally:
        subprocess.run(
            [*operator, "down", "--data-dir", str(directory / "data")], capture_output=True, check=False, timeout=60
        )
        shutil.rmtree(directory)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
