"""The outbox against a real HTTP server: order, once, server away, refusals, and what a killed process leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import everline
from everline import sending, spool
from everline.config import Target
from everline.errors import Unavailable
from everline.sending import Outbox
from tests.support.collector import Collector, collecting
from tests.support.waiting import eventually

COMMANDS = 250


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def target(url: str) -> Target:
    return Target(url, "team", stack="")


def files(home: Path, pattern: str = "*.jsonl") -> list[Path]:
    return list(home.glob(f"spool/*/{pattern}"))


def numbers(collector: Collector) -> list[int]:
    return [command["body"]["n"] for command in collector.commands]


def test_commands_arrive_once_in_order_and_leave_no_file(home: Path, collector: Collector) -> None:
    outbox = Outbox(target(collector.url))
    for n in range(COMMANDS):
        outbox.put("log-metadata", {"n": n})
    assert outbox.flush()
    assert numbers(collector) == list(range(COMMANDS))
    assert max(map(len, collector.batches)) <= sending.BATCH_COMMANDS_MAX
    assert files(home) == []


def test_a_server_that_is_away_delays_and_loses_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sending, "BACKOFF_SECONDS_MAX", 0.1)
    with collecting() as first:
        port = int(first.url.rpartition(":")[2])
    outbox = Outbox(target(first.url))
    outbox.put("start-run", {"n": 0})
    began = time.monotonic()
    assert not outbox.flush()
    assert time.monotonic() - began < sending.FLUSH_SECONDS_MAX
    assert "everline sync" in capfd.readouterr().err
    outbox.put("complete-run", {"n": 1})
    assert not outbox.flush()
    assert capfd.readouterr().err == "", "it is said once"
    with collecting(port) as back:
        eventually(lambda: outbox.drained)
        assert numbers(back) == [0, 1]
    assert files(home) == []


def test_a_busy_server_gets_the_same_commands_again(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BACKOFF_SECONDS_MAX", 0.1)
    collector.busy = True
    outbox = Outbox(target(collector.url))
    command_id = outbox.put("start-run", {"n": 0})
    assert not outbox.flush()
    collector.busy = False
    eventually(lambda: outbox.drained)
    assert [command["id"] for command in collector.commands] == [command_id]


def test_a_refused_command_is_put_aside_and_the_rest_goes_on(
    home: Path, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = {"code": "not_found", "detail": "there is no stack 'x'", "retryable": False}
    collector.refuses = lambda command: problem if command["body"]["n"] == 1 else None
    outbox = Outbox(target(collector.url))
    for n in range(3):
        outbox.put("create-run", {"n": n})
    assert outbox.flush()
    assert numbers(collector) == [0, 2]
    (refused,) = files(home, "*.refused")
    assert "there is no stack 'x'" in refused.read_text()
    assert "there is no stack 'x'" in capfd.readouterr().err
    assert files(home) == []


def test_what_may_be_retried_holds_back_what_follows(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BACKOFF_SECONDS_MAX", 0.05)
    troubled = {1: 2}

    def conflict(command: dict[str, object]) -> dict[str, object] | None:
        body = command["body"]
        assert isinstance(body, dict)
        if troubled.get(body["n"], 0):
            troubled[body["n"]] -= 1
            return {"code": "concurrent_change", "title": "again", "retryable": True}
        return None

    collector.refuses = conflict
    outbox = Outbox(target(collector.url))
    for n in range(3):
        outbox.put("complete-step", {"n": n})
    eventually(lambda: outbox.drained)
    once = list(dict.fromkeys(command["id"] for command in collector.commands))
    assert len(once) == 3
    assert numbers(collector)[-2:] == [1, 2]


def test_a_batch_that_is_refused_as_a_whole_is_sent_in_parts(collector: Collector) -> None:
    collector.status, collector.problem = 413, {"code": "body_too_large", "title": "too large"}
    collector.refused_from_size = 2
    outbox = Outbox(target(collector.url))
    for n in range(5):
        outbox.put("log-metadata", {"n": n})
    assert outbox.flush()
    assert numbers(collector) == list(range(5))


def test_a_wrong_workspace_keeps_everything(
    home: Path, collector: Collector, capfd: pytest.CaptureFixture[str]
) -> None:
    collector.status, collector.problem = 404, {"code": "workspace_not_found", "detail": "no workspace 'team'"}
    outbox = Outbox(target(collector.url))
    outbox.put("start-run", {"n": 0})
    assert not outbox.flush()
    assert len(files(home)) == 1
    assert "no workspace 'team'" in capfd.readouterr().err


PROGRAM = """
import os, sys
from everline.sending import outbox_for
from everline.config import resolve
outbox = outbox_for(resolve(workspace="team"))
for n in range({commands}):
    outbox.put("log-metadata", {{"n": n}})
print("written", flush=True)
sys.stdin.read()
"""


def killed_program(url: str, commands: int) -> None:
    """A process that is killed while its commands wait."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(commands=commands)],
        env={**os.environ, "EVERLINE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()


def test_sync_delivers_what_a_killed_process_left(home: Path, collector: Collector) -> None:
    collector.busy = True
    killed_program(collector.url, COMMANDS)
    assert len(files(home)) == 1
    with pytest.raises(Unavailable):
        everline.sync()
    collector.busy = False
    assert everline.sync() == COMMANDS
    assert numbers(collector) == list(range(COMMANDS))
    assert everline.sync() == 0
    assert files(home) == []


def test_the_next_process_resends_what_a_killed_one_left(home: Path, collector: Collector) -> None:
    collector.busy = True
    killed_program(collector.url, 3)
    collector.busy = False
    outbox = Outbox(target(collector.url))
    outbox.put("log-metadata", {"n": 99})
    eventually(lambda: files(home) == [])
    assert sorted(numbers(collector)) == [0, 1, 2, 99]


def test_the_file_of_a_living_process_is_left_alone(home: Path, collector: Collector) -> None:
    file = spool.new_file(target(collector.url))
    file.append({"name": "start-run", "body": {"n": 0}, "id": "1"})
    assert everline.sync() == 0
    assert spool.adopt(file.path) is None
    file.abandon()
    assert everline.sync() == 1


def test_half_a_line_is_not_a_command(home: Path, collector: Collector) -> None:
    file = spool.new_file(target(collector.url))
    file.append({"name": "start-run", "body": {"n": 0}, "id": "1"})
    file.abandon()
    with file.path.open("a") as torn:
        torn.write('{"name": "complete-run", "bo')
    assert everline.sync() == 1
    assert numbers(collector) == [0]


def test_a_damaged_file_is_kept_under_another_name(home: Path, collector: Collector) -> None:
    file = spool.new_file(target(collector.url))
    file.abandon()
    with file.path.open("a") as damaged:
        damaged.write("not json\n")
    assert everline.sync() == 0
    assert len(files(home, "*.damaged")) == 1


def test_what_was_answered_is_not_sent_again_by_the_next_process(home: Path, collector: Collector) -> None:
    file = spool.new_file(target(collector.url))
    for n in range(3):
        file.append({"name": "log-metadata", "body": {"n": n}, "id": str(n)})
    file.acknowledge(file.waiting(count_max=2, size_bytes_max=1 << 20)[-1])
    file.abandon()
    assert everline.sync() == 1
    assert numbers(collector) == [2]


def test_a_full_disk_is_waited_out(home: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    file = spool.new_file(target(collector.url))
    with monkeypatch.context() as full:
        full.setattr(spool.os, "write", refuse_to_write)
        assert file.append({"name": "log-metadata", "body": {"n": 0}, "id": "0"})
        assert not file.drained
    file.append({"name": "log-metadata", "body": {"n": 1}, "id": "1"})
    assert [entry.command["id"] for entry in file.waiting(count_max=9, size_bytes_max=1 << 20)] == ["0", "1"]
    file.abandon()


def refuse_to_write(descriptor: int, content: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_a_forked_process_leaves_the_parents_commands_alone(home: Path, collector: Collector) -> None:
    outbox = sending.outbox_for(target(collector.url))
    collector.busy = True
    outbox.put("start-run", {"n": 0})
    program = (
        "import os, everline.sending as s; from everline.config import Target;"
        f"o = s.outbox_for(Target({collector.url!r}, 'team', ''));"
        "o.put('start-run', {'n': 1}); pid = os.fork();\n"
        "if pid == 0:\n    assert not s._outboxes; os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0; os._exit(0)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, stderr=subprocess.DEVNULL)
    collector.busy = False
    eventually(outbox.flush)
    everline.sync()
    eventually(lambda: sorted(numbers(collector)) == [0, 1])
