"""kill -9 of every process, one by one, while clients write: nothing acknowledged is lost, nothing happens twice, no
position is skipped, and the query tables equal a replay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.support.installations import Everline
from tests.support.waiting import eventually

WRITERS = 4
RETRY_SECONDS = 0.2
WRITER_SECONDS_MAX = 90
KILLED = ("gateway", "projector", "relay", "nats", "postgres")


LONG_RUN = """
import sys, time
from pathlib import Path
from everline import log_metric, pipeline, step

STOP = Path(sys.argv[1])

@step
def work(index: int, before: int) -> int:
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline and not STOP.exists():
        log_metric("beat", before, step=before)
        time.sleep(0.2)
    return before + 1

@pipeline
def long():
    value = work(index=0, before=0)
    for index in range(1, 9):
        value = work(index=index, before=value)

if __name__ == "__main__":
    assert long().status == "completed"
"""


class Writers:
    """Clients that register pipelines until stopped; each command is repeated with its id until it is acknowledged."""

    def __init__(self, url: str) -> None:
        self._commands = f"{url}/v1/workspaces/default/commands/register-pipeline"
        self._stop = threading.Event()
        self._is_lost = False
        self.acknowledged: dict[UUID, dict[str, Any]] = {}
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WRITER_SECONDS_MAX)
            assert not thread.is_alive(), "a writer hangs"

    def acknowledge_more(self, count: int) -> None:
        """Waits until that many more commands were acknowledged."""
        target = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= target or bool(self.failures), seconds_max=60)

    def give_up(self) -> None:
        """The server is gone for good: what is not acknowledged yet never will be."""
        self._stop.set()
        self._is_lost = True

    def _write(self, number: int) -> None:
        with httpx2.Client(timeout=10) as client:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                self._write_one(client, f"pipeline-{number}-{turn}")

    def _write_one(self, client: httpx2.Client, name: str) -> None:
        command_id = uuid4()
        deadline = time.monotonic() + WRITER_SECONDS_MAX
        while time.monotonic() < deadline and not self._is_lost:
            try:
                answer = client.post(self._commands, json={"name": name}, headers={"Idempotency-Key": str(command_id)})
            except httpx2.TransportError:
                time.sleep(RETRY_SECONDS)  # what any client does between two tries
                continue
            if answer.status_code == 200:
                self.acknowledged[command_id] = answer.json()
                return
            if not answer.json().get("retryable"):
                self.failures.append(answer.text)
                return
            time.sleep(RETRY_SECONDS)  # what any client does between two tries
        self.failures.append(f"{name} was never acknowledged")


@pytest.fixture
def everline() -> Iterator[Everline]:
    parent = Path(tempfile.mkdtemp(prefix="everline-bad-"))  # short: sockets lie in it
    system = Everline(parent / "data")
    system.up()
    yield system
    system.down()
    shutil.rmtree(parent)


@pytest.mark.timeout(240)
def test_killing_every_process_loses_nothing_and_doubles_nothing(everline: Everline) -> None:
    with Writers(everline.url) as writers:
        writers.acknowledge_more(20)
        for name in KILLED:
            killed = everline.kill(name)
            everline.wait_until_restarted(name, was=killed)
            writers.acknowledge_more(20)
    assert writers.failures == []
    assert_history_is_whole(everline, writers.acknowledged)


@pytest.mark.timeout(120)
def test_a_deleted_jetstream_directory_heals_by_itself(everline: Everline) -> None:
    with Writers(everline.url) as writers:
        writers.acknowledge_more(20)
        killed = everline.kill("nats")
        shutil.rmtree(everline.data_dir / "nats", ignore_errors=True)
        everline.wait_until_restarted("nats", was=killed)
        writers.acknowledge_more(20)
    assert writers.failures == []
    assert_history_is_whole(everline, writers.acknowledged)


@pytest.mark.timeout(240)
def test_a_run_goes_on_through_the_death_of_every_process(everline: Everline, tmp_path: Path) -> None:
    stop_file, script = tmp_path / "stop", tmp_path / "train.py"
    script.write_text(LONG_RUN)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EVERLINE_")},
        "EVERLINE_URL": everline.url,
        "EVERLINE_CONFIG": str(tmp_path / "config.toml"),
        "EVERLINE_SPOOL_DIR": str(tmp_path / "spool"),
    }
    training = subprocess.Popen([sys.executable, str(script), str(stop_file)], env=environment)
    try:
        for name in KILLED:
            killed = everline.kill(name)
            everline.wait_until_restarted(name, was=killed)
    finally:
        stop_file.touch()
    assert training.wait(60) == 0
    program = [str(Path(sys.executable).parent / "everline"), "sync"]
    subprocess.run(program, env=environment, check=True, timeout=60)
    assert_run_is_whole(everline.url)


def assert_run_is_whole(url: str) -> None:
    """The one run is completed, each of its steps ran once, nothing is missing and the tables equal a replay."""
    base = f"{url}/v1/workspaces/default"
    check = httpx2.post(f"{base}/replay-checks", json={}, timeout=60).json()
    assert check["equal"], check["first_difference"]
    [run] = httpx2.get(f"{base}/runs", params={"min_position": check["position"]}, timeout=30).json()["items"]
    assert run["status"] == "completed"
    events = all_events(url, until=check["position"])
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    completed = [event["data"]["step"] for event in events if event["type"] == "step.completed"]
    assert len(completed) == len(set(completed)) == run["step_count"]


def assert_history_is_whole(everline: Everline, acknowledged: dict[UUID, dict[str, Any]]) -> None:
    """What the ledger holds against what the clients were told, and the tables against a replay."""
    told = {UUID(receipt["id"]): receipt for receipt in acknowledged.values()}
    events = all_events(everline.url, until=max(receipt["position"] for receipt in told.values()))
    positions = [event["position"] for event in events]
    assert positions == list(range(1, len(positions) + 1)), "a position is missing or doubled"
    registered = [event for event in events if event["type"] == "pipeline.registered"]
    streams = [UUID(event["stream"].partition("/")[2]) for event in registered]
    assert len(streams) == len(set(streams))
    assert told.keys() == set(streams), "told and recorded differ"
    for event, stream in zip(registered, streams, strict=True):
        assert event["position"] == told[stream]["first_position"]
    check = httpx2.post(f"{everline.url}/v1/workspaces/default/replay-checks", json={}, timeout=60).json()
    assert check["equal"], check["first_difference"]
    assert check["position"] == positions[-1]


def is_projected(url: str, until: int) -> bool:
    """Whether the tables have come as far as this position."""
    asked = {"limit": 1, "min_position": until}
    return httpx2.get(f"{url}/v1/workspaces/default/events", params=asked, timeout=30).status_code == 200


def all_events(url: str, *, until: int) -> list[dict[str, Any]]:
    """The workspace's whole history, oldest first, page by page, once it is projected up to a position."""
    eventually(lambda: is_projected(url, until), seconds_max=60)
    events: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = httpx2.get(
            f"{url}/v1/workspaces/default/events",
            params={"limit": 1000, "min_position": until} | ({"cursor": cursor} if cursor else {}),
            timeout=30,
        ).json()
        events += page["items"]
        cursor = page["next"]
        if cursor is None:
            return events[::-1]
