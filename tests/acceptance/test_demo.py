"""The demo: every check holds, and nothing is left behind, also when it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

DEMO = [str(Path(sys.executable).parent / "everline"), "demo"]
SECONDS_MAX = 110


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo makes its temporary directory; every account may pass through."""
    directory = Path(tempfile.mkdtemp(prefix="ed-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def environment(place: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVERLINE_")}
    return inherited | {"TMPDIR": str(place), "EVERLINE_URL": "http://127.0.0.1:9", "NO_COLOR": "1"}


def processes_in(place: Path) -> list[str]:
    """What still runs from there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(place) in words:
            found.append(words)
    return found


def test_every_check_holds_and_nothing_is_left(place: Path) -> None:
    done = subprocess.run(
        [*DEMO, "-o", "json"], capture_output=True, text=True, timeout=SECONDS_MAX, check=False, env=environment(place)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    checks = [check for section in told["sections"] for check in section["checks"]]
    assert told["ok"]
    assert len(checks) >= 20
    assert all(check["ok"] for check in checks)
    commands = [answer["command"] for section in told["sections"] for answer in section["answers"]]
    assert all(command.startswith("everline ") for command in commands)
    assert list(place.iterdir()) == []
    assert processes_in(place) == []


def test_an_interrupt_cleans_up(place: Path) -> None:
    with started(place) as demo:
        for line in demo.stdout or ():
            if "pipeline run" in line:
                break
        assert any("postgres" in words for words in processes_in(place))
        demo.send_signal(signal.SIGINT)
        assert demo.wait(SECONDS_MAX) == 130
    assert list(place.iterdir()) == []
    assert processes_in(place) == []


def test_an_interrupt_while_the_system_starts_cleans_up(place: Path) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    with started(place) as demo:
        while not processes_in(place) and time.monotonic() < deadline:
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        assert demo.wait(SECONDS_MAX) == 130
    assert list(place.iterdir()) == []
    assert processes_in(place) == []


@contextmanager
def started(place: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in the background; killed if the test ends before it does."""
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(place)
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()
