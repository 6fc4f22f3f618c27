"""A process that is stopped while it holds a ledger's head: the others go on, and so does it when it wakes up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from ledger.postgres.writer import TRANSACTION_SECONDS_MAX
from ledger.values import new_id
from tests.support.ledgers import a_pipeline, open_ledger, unit
from tests.support.servers import Database
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]

# Guards are judged while the head is locked: there the process stops itself, once.
STOPS_UNDER_THE_LOCK = """
import asyncio, os, signal, sys
from uuid import UUID
from tests.support.ledgers import a_pipeline, open_ledger, unit

class Stopping(dict):
    stopped = False
    def items(self):
        if not Stopping.stopped:
            Stopping.stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().items()

async def main(dsn, workspace):
    async with open_ledger(dsn) as ledger:
        appended = await ledger.appender.append(unit(UUID(workspace), a_pipeline("late"), guards=Stopping()))
        print(appended.head)

asyncio.run(main(*sys.argv[1:]))
"""


def state(pid: int) -> str:
    """The state letter of proc(5): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_stopped_writer_frees_the_head_and_appends_when_it_goes_on(database: Database) -> None:
    workspace = new_id()
    stopping = subprocess.Popen(  # noqa: ASYNC220 - it is stopped and continued, not awaited
        [sys.executable, "-c", STOPS_UNDER_THE_LOCK, database.app_dsn, str(workspace)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        await asyncio.to_thread(eventually, lambda: state(stopping.pid) == "T")
        async with open_ledger(database.app_dsn) as ledger, asyncio.timeout(4 * TRANSACTION_SECONDS_MAX):
            appended = await ledger.appender.append(unit(workspace, a_pipeline("meanwhile")))
        assert appended.head == 1
        os.kill(stopping.pid, signal.SIGCONT)
        output, _ = await asyncio.to_thread(stopping.communicate, timeout=30)
    finally:
        stopping.kill()
        stopping.wait()
    assert (stopping.returncode, output.strip()) == (0, "2")
