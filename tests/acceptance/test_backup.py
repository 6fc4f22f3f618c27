"""Backup, restore and the archive of the log on a whole system: made under load, killed at random, brought back."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from ledger.signing import make_key_file
from runners.backup import catalog
from runners.backup.place import Place
from runners.backup.reading import verify
from runners.data_directory import RESTORING
from runners.embedded import free_port
from runners.progress import Progress
from runners.status import read_status
from tests.acceptance.test_bad_days import Writers, all_events
from tests.support.installations import Everline
from tests.support.waiting import eventually

COMMAND_SECONDS_MAX = 60
KILLS = 3
EXIT_REFUSED = 8

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def parent() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="everline-backup-"))  # short: sockets lie in it
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def everline(parent: Path) -> Iterator[Everline]:
    system = Everline(parent / "data")
    yield system
    system.run("down")


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "runners", *map(str, words)]


def run(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """An operator's command to its end, which must be this one."""
    done = subprocess.run(
        command(*words), cwd="/", capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def killed(chance: random.Random, *words: str | Path, seconds_max: float) -> None:
    """The same, killed at a random moment; it may have finished before."""
    running = subprocess.Popen(command(*words), cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0, seconds_max))  # the random moment, not a wait
    running.kill()
    running.wait()


def restored(parent: Path, place: Path, *options: str) -> tuple[Everline, dict[str, Any]]:
    """Another system with what the backups hold, started; and what the restore said."""
    system = Everline(parent / "restored")
    said = json.loads(run("restore", place, "--into", system.data_dir, "--json", *options).stdout)
    system.up()
    return system, said


def assert_tables_equal_a_replay(system: Everline) -> None:
    check = httpx2.post(f"{system.url}/v1/workspaces/default/replay-checks", json={}, timeout=60).json()
    assert check["equal"], check["first_difference"]


def test_backups_and_restores_that_are_killed_leave_every_finished_one_whole(everline: Everline, parent: Path) -> None:
    everline.up()
    place, chance = parent / "backups", random.Random(11)  # noqa: S311 - a reproducible choice, no secret
    backup = ("backup", "create", place, "--data-dir", everline.data_dir, "--keys-to", parent / "keys")
    with Writers(everline.url) as writers:
        writers.acknowledge_more(20)
        run(*backup)
        for _ in range(KILLS):
            writers.acknowledge_more(5)
            killed(chance, *backup, seconds_max=1.2)
            assert is_whole(place)
        acknowledged = dict(writers.acknowledged)
        run(*backup)
        listed = json.loads(run("backup", "list", place, "--data-dir", everline.data_dir, "--json").stdout)
    assert writers.failures == []
    assert listed["items"][-1]["events"] >= len(acknowledged)
    assert listed["events_not_backed_up"] >= 0
    assert "[data_dir_in_use]" in run("restore", place, "--into", everline.data_dir, code=EXIT_REFUSED).stderr
    everline.down()
    assert "[deployment_not_empty]" in run("restore", place, "--into", everline.data_dir, code=EXIT_REFUSED).stderr
    assert "[ledger_unavailable]" in run(*backup, code=EXIT_REFUSED).stderr

    into = parent / "restored"
    assert_restores_that_are_killed_leave_nothing(place, into, chance)
    assert_another_deployments_keys_are_refused(place, parent, into)
    system, said = restored(parent, place, "--keys-from", str(parent / "keys"), "--reason", "the test says so")
    try:
        assert_everything_came_back(system, said, acknowledged)
    finally:
        system.down()


def is_whole(place: Path) -> bool:
    """Whether the newest finished backup is."""
    manifest = catalog.load(Place(str(place)))
    found = verify(Place(str(place)), manifest, trusted=None, progress=Progress("verify"))
    return found.events == manifest.events


def assert_restores_that_are_killed_leave_nothing(place: Path, into: Path, chance: random.Random) -> None:
    """Nothing starts on what they left, until another restore has finished."""
    for _ in range(KILLS):
        killed(chance, "restore", place, "--into", into, seconds_max=2.0)
        if not (into / RESTORING).exists():
            shutil.rmtree(into, ignore_errors=True)  # it was too fast, or too slow to begin
    killed_in_the_middle(place, into)
    refused = run("up", "--data-dir", into, "--port", str(free_port()), code=EXIT_REFUSED)
    assert "[restore_unfinished]" in refused.stderr


def killed_in_the_middle(place: Path, into: Path) -> None:
    """A restore, killed once its PostgreSQL is there."""
    running = subprocess.Popen(command("restore", place, "--into", into), cwd="/", stdout=subprocess.DEVNULL)
    eventually((into / "postgres").exists)
    running.kill()
    running.wait()


def assert_another_deployments_keys_are_refused(place: Path, parent: Path, into: Path) -> None:
    make_key_file(parent / "foreign" / "keys" / "checkpoint.pem")
    words = ("restore", place, "--keys-from", parent / "foreign", "--into", into)
    assert "[wrong_key]" in run(*words, code=EXIT_REFUSED).stderr
    assert not (into / "postgres").exists()


def assert_everything_came_back(system: Everline, said: dict[str, Any], acknowledged: dict[UUID, Any]) -> None:
    """What clients were told before the backup is there, at the same positions, and once."""
    [position] = [one["position"] for one in said["restored"] if one["position"] > 1]
    events = all_events(system.url, until=position + 1)
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert events[position]["type"] == "restoration.recorded"
    assert events[position]["data"]["reason"] == "the test says so"
    found = {UUID(event["command_id"]): event["position"] for event in events}
    for id_, receipt in acknowledged.items():
        assert found[id_] == receipt["first_position"]
    id_, receipt = next(iter(acknowledged.items()))
    name = next(event["data"]["name"] for event in events if event["command_id"] == str(id_))
    url = f"{system.url}/v1/workspaces/default/commands/register-pipeline"
    again = httpx2.post(url, json={"name": name}, headers={"Idempotency-Key": str(id_)}, timeout=30).json()
    assert again["repeated"]
    assert again["first_position"] == receipt["first_position"]
    assert_tables_equal_a_replay(system)


def test_a_lost_postgresql_loses_nothing_that_was_acknowledged(everline: Everline, parent: Path) -> None:
    archive = parent / "archive"
    done = everline.run("up", "--detach", "--port", str(everline.port), "--wal-archive", str(archive))
    assert done.returncode == 0, done.stdout + done.stderr
    with Writers(everline.url) as writers:
        writers.acknowledge_more(100)
        receiver = everline.kill("wal")  # commits wait until it is back
        everline.wait_until_restarted("wal", was=receiver)
        writers.acknowledge_more(100)
        kill_everything(everline)
        writers.give_up()
    shutil.rmtree(everline.data_dir / "postgres")
    assert_an_archive_with_a_hole_is_refused(everline, archive)
    (parent / "keys").mkdir()
    shutil.move(everline.data_dir / "keys", parent / "keys" / "keys")
    shutil.rmtree(everline.data_dir)
    run("restore", archive, "--into", everline.data_dir, "--keys-from", parent / "keys")
    refused = everline.run("up", "--port", str(everline.port), "--wal-archive", str(archive))
    assert "[wal_archive_foreign]" in refused.stderr
    everline.up()
    last = max(receipt["position"] for receipt in writers.acknowledged.values())
    found = {UUID(event["command_id"]): event["position"] for event in all_events(everline.url, until=last)}
    assert {id_: receipt["first_position"] for id_, receipt in writers.acknowledged.items()}.items() <= found.items()
    assert len(writers.acknowledged) > 200
    assert everline.status()["components"]["sealer"]["state"] == "running", "it signs on with the keys it had"
    assert_tables_equal_a_replay(everline)


def kill_everything(everline: Everline) -> None:
    """kill -9 of the supervisor and of all that it runs, without a word."""
    state = read_status(everline.data_dir / "run" / "state.json")
    for row in state.components:
        assert row.pid is not None
        os.kill(row.pid, signal.SIGKILL)
    eventually(lambda: not any(row.identity for row in state.components))


def assert_an_archive_with_a_hole_is_refused(everline: Everline, archive: Path) -> None:
    """Neither a missing part nor a damaged one ends the replay silently; afterwards the archive is as it was."""
    *_, newest = sorted((archive / "wal").iterdir())
    damaged = newest.with_name(newest.name.removesuffix(".partial"))
    following = damaged.with_name(f"{int(damaged.name, 16) + 1:024X}.partial")
    newest.rename(following)
    refused = run("restore", archive, "--into", everline.data_dir, code=EXIT_REFUSED)
    assert f"{damaged.name[8:]} is missing" in refused.stderr
    damaged.write_bytes(b"\0" * following.stat().st_size)
    refused = run("restore", archive, "--into", everline.data_dir, code=EXIT_REFUSED)
    assert "[wal_archive_incomplete]" in refused.stderr
    assert not (everline.data_dir / "postgres").exists()
    following.rename(newest)
    damaged.unlink(missing_ok=True)
