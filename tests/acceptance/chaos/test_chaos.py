"""The short campaign: every `make test` breaks a cluster that many times. `make chaos` is the long one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.acceptance.chaos.campaign import run

SEED = 20260801
FAULTS = 14


@pytest.mark.timeout(240)
async def test_nothing_is_lost_doubled_or_reordered_whatever_breaks() -> None:
    root = Path(tempfile.mkdtemp(prefix="everline-chaos-"))  # short: sockets lie in it
    report = await run(root, seed=SEED, faults=FAULTS, tell=print)
    assert not report.findings, f"{report.summary()}\nlogs: {root}"
    shutil.rmtree(root)
