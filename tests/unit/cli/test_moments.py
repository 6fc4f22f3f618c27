"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from everline.cli.failures import UsageFailure
from everline.cli.moments import parse_moment


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("1042", "1042"),
        ("2026-11-03T12:00Z", "2026-11-03T12:00:00Z"),
        ("2026-11-03T14:00:00.5+02:00", "2026-11-03T12:00:00.500000Z"),
    ],
)
def test_positions_and_times(text: str, sent: str) -> None:
    assert parse_moment(text) == sent


def test_a_time_without_a_zone_is_local() -> None:
    local = datetime(2026, 11, 3, 14, 0).astimezone()
    assert datetime.fromisoformat(parse_moment("2026-11-03 14:00")) == local


def test_an_age_counts_back_from_now() -> None:
    sent = datetime.fromisoformat(parse_moment("15m ago"))
    assert abs(datetime.now(UTC) - timedelta(minutes=15) - sent) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["yesterday", "", "-5", "12x", "2026-13-01"])
def test_anything_else_is_a_usage_failure_that_shows_how(text: str) -> None:
    with pytest.raises(UsageFailure) as caught:
        parse_moment(text)
    assert "2026-11-03T12:00Z" in caught.value.hint
