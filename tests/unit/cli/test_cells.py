"""How values read, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from everline.cli import cells


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", "churn@3", "churn@3"),
        ("name", None, "-"),
        ("name", "", "-"),
        ("run_count", 0, "0"),
        ("deleted", False, "no"),
        ("duration_seconds", 0.4219, "0.42s"),
        ("duration_seconds", 12.34, "12.3s"),
        ("duration_seconds", 185, "3m05s"),
        ("duration_seconds", 7800, "2h10m"),
        ("size_bytes", 512, "512 B"),
        ("size_bytes", 1_468_006, "1.4 MiB"),
        ("accuracy", 0.98148148148, "0.981481"),
        ("parameters", {"C": 0.5, "kernel": "rbf", "deep": {"a": 1}}, 'C=0.5, kernel=rbf, deep={"a":1}'),
        ("types", ["run.started", "step.queued"], "run.started, step.queued"),
        ("description", "two\nlines\x1b[31m", "two\\nlines\\x1b[31m"),
    ],
)
def test_shown(key: str, value: object, text: str) -> None:
    assert cells.shown(key, value) == text


def test_times_are_local_for_people_and_utc_for_programs() -> None:
    written = "2026-11-23T20:19:03.123456Z"
    moment = datetime(2026, 11, 23, 20, 19, 3, 123456, UTC)
    assert cells.shown("created_at", written) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert cells.raw(written) == written
    assert cells.raw(moment) == written


def test_a_name_that_looks_like_a_time_stays_a_name() -> None:
    assert cells.shown("name", "2026-11-23") == "2026-11-23"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (0.1, "0.1"), ("a\tb\nc", "a\\tb\\nc"), ({"a": [1, "é"]}, '{"a":[1,"é"]}')],
)
def test_raw(value: object, text: str) -> None:
    assert cells.raw(value) == text


def test_headings_leave_units_to_the_cells() -> None:
    assert [cells.heading(key) for key in ("duration_seconds", "size_bytes", "created_at", "latest_run_status")] == [
        "DURATION",
        "SIZE",
        "CREATED",
        "LATEST RUN STATUS",
    ]
