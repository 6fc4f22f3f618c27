"""Moments as people write them, turned into what the API takes: a position, or a time in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from everline.cli.cells import rfc3339
from everline.cli.failures import UsageFailure

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"(\d+)([smhdw])(?: ago)?")


def parse_moment(text: str) -> str:
    """`1042` (a position), `2026-11-03T12:00Z`, `2026-11-03 14:00` (local time), `15m` or `15m ago`."""
    text = text.strip()
    if text.isdigit():
        return text
    if ago := AGO.fullmatch(text):
        return rfc3339(datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])}))
    try:
        return rfc3339(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise UsageFailure(
            f"{text!r} is not a moment",
            hint="a position (1042), a time (2026-11-03T12:00Z; without a zone it is local), or an age (15m, 2h, 3d)",
        ) from None
