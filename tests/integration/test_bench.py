"""The bench's runner works: a tiny run in a process of its own ends well, and its report holds what was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SECONDS_MAX = 90


def bench(**asked: str) -> subprocess.CompletedProcess[str]:
    """`make bench` without make."""
    return subprocess.run(
        [sys.executable, "-m", "tests.bench"],
        cwd=PROJECT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def test_a_tiny_run_reports_every_section_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "rows.json"
    done = bench(SCALE="tiny", ROWS="append,rebuild", BENCH_JSON=str(target))
    assert done.returncode == 0, done.stderr
    report = json.loads(target.read_text())
    assert {row["section"] for row in report["rows"]} == {"append", "rebuild"}
    assert all(row["value"] > 0 for row in report["rows"])
    with_budget = [row for row in report["rows"] if row["budget"]]
    assert {row["verdict"] for row in with_budget} <= {"met", "MISSED"}
    assert "fsync=on synchronous_commit=on" in report["machine"]["PostgreSQL"]
    assert "durable append, 64 producers" in done.stdout


def test_a_section_that_does_not_exist_is_refused() -> None:
    done = bench(ROWS="append,speed")
    assert done.returncode == 2
    assert "there is no speed" in done.stderr
