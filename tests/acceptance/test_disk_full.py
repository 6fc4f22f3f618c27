"""A disk that fills up under a running system: refused by name, nothing acknowledged lost, on its own again after."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import psutil
import psycopg
import pytest

from runners.embedded import APP, DATABASE, EmbeddedPostgres
from tests.acceptance.test_bad_days import Writers, assert_history_is_whole
from tests.support.installations import Everline
from tests.support.waiting import eventually

DISK_MEGABYTES = 420
"""What a data directory needs to be accepted, and a little."""

GIVING_UP_SECONDS = 20
"""After this long a supervisor has given up a program that dies at each start, for want of room or not."""

CHUNK_BYTES = 1 << 16
CODES = {"ledger_disk_full", "ledger_unavailable"}


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of its own."""
    where = Path(tempfile.mkdtemp(prefix="everline-full-"))
    options = f"size={DISK_MEGABYTES}m,mode=755"
    mounting = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", where], check=False)
    if mounting.returncode != 0:
        where.rmdir()
        pytest.skip("only root may mount a small disk")
    yield where
    subprocess.run(["/bin/umount", where], check=True)
    where.rmdir()


@pytest.fixture
def everline(disk: Path) -> Iterator[Everline]:
    system = Everline(disk / "data")
    system.up()
    yield system
    system.down()


def fill(ballast: Path) -> None:
    """Until nothing more fits, not a byte."""
    with ballast.open("ab", buffering=0) as file:
        for size in (CHUNK_BYTES, 1):
            while has_room_for(size, file):
                pass


def has_room_for(size: int, file: io.FileIO) -> bool:
    """Writes so many bytes, if they fit."""
    try:
        file.write(b"\0" * size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def refusal(system: Everline, writers: Writers, number: int) -> str | None:
    """The code that an append is refused with now; one that is accepted after all counts like any other."""
    url = f"{system.url}/v1/workspaces/default/commands/register-pipeline"
    body = {"name": f"while-full-{number}", "description": "x" * 900}
    try:
        answer = httpx2.post(url, json=body, timeout=30)
    except httpx2.TransportError:
        return None
    if answer.status_code == 200:
        writers.acknowledged[uuid4()] = answer.json()
        return None
    return str(answer.json()["code"])


@pytest.mark.timeout(240)
def test_a_full_disk_refuses_by_name_loses_nothing_and_heals_by_itself(everline: Everline, disk: Path) -> None:
    supervisor, postgres = everline.pid("supervisor"), everline.pid("postgres")
    with Writers(everline.url) as writers:
        writers.acknowledge_more(50)
        fill(disk / "ballast")
        seen = eventually(lambda: {refusal(everline, writers, number) for number in range(5)} - {None}, seconds_max=60)
        assert seen <= CODES
        assert "ledger_disk_full" in seen
        fill(disk / "ballast")
        for number in range(50, 60):
            assert refusal(everline, writers, number) in {*CODES, None}
        os.kill(postgres, signal.SIGKILL)
        fill(disk / "ballast")
        with pytest.raises(AssertionError):
            eventually(lambda: not psutil.pid_exists(supervisor), seconds_max=GIVING_UP_SECONDS)
        (disk / "ballast").unlink()
        writers.acknowledge_more(50)
        eventually(everline.is_running, seconds_max=60)
    assert writers.failures == []
    assert everline.pid("supervisor") == supervisor, "nobody had to start anything"
    eventually(everline.is_ready)
    assert_history_is_whole(everline, writers.acknowledged)
    eventually(lambda: relay_lag(everline) == 0, seconds_max=60)


def relay_lag(everline: Everline) -> int:
    """Events that NATS does not have."""
    postgres = EmbeddedPostgres(everline.data_dir)
    with psycopg.connect(postgres.dsn(APP, DATABASE)) as connection:
        found = connection.execute(
            "SELECT sum(h.position - r.position) FROM ledger.heads h JOIN ledger.relays r USING (workspace_id)"
        ).fetchone()
    return int(found[0]) if found else -1
