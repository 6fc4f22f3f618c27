"""How one value reads: `shown` for people (local times, units), `raw` for programs (UTC, plain numbers, JSON)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

NOTHING = "-"
UNITS = ("_seconds", "_bytes", "_at", "_number")
SUFFIXES = ("B", "KiB", "MiB", "GiB", "TiB")
MINUTE = 60
HOUR = 3600


def heading(key: str) -> str:
    """`duration_seconds` is headed DURATION: the cells carry the unit."""
    key = key.rpartition(".")[2]
    for unit in UNITS:
        key = key.removesuffix(unit)
    return key.replace("_", " ").upper()


def shown(key: str, value: Any) -> str:
    """A value for a person; the key's ending says what it measures."""
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_seconds") and isinstance(value, int | float):
        return duration(value)
    if key.endswith("_bytes") and isinstance(value, int):
        return size(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if (moment := as_moment(key, value)) is not None:
        return local_time(moment)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_inside(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_inside(inner) for inner in value)
    return escaped(str(value))


def raw(value: Any) -> str:
    """A value as data, on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return escaped(str(value))


def escaped(text: str) -> str:
    """Control characters, which could break the line or the terminal, written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def as_moment(key: str, value: Any) -> datetime | None:
    """The time that a value under a key such as `created_at` stands for."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not key.endswith(("_at", "time")):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def local_time(moment: datetime) -> str:
    """`2026-11-23 20:19:03`, in the time zone of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def rfc3339(moment: datetime) -> str:
    """The same moment in UTC, as the API writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """`0.42s`, `12.3s`, `3m05s`, `2h10m`."""
    if seconds < 1:
        return f"{seconds:.2f}s"
    if seconds < MINUTE:
        return f"{seconds:.1f}s"
    if seconds < HOUR:
        return f"{int(seconds) // MINUTE}m{int(seconds) % MINUTE:02d}s"
    return f"{int(seconds) // HOUR}h{int(seconds) % HOUR // MINUTE:02d}m"


def size(size_bytes: int) -> str:
    """`512 B`, `1.4 MiB`."""
    amount = float(size_bytes)
    for suffix in SUFFIXES[:-1]:
        if amount < 1024:
            return f"{amount:.0f} {suffix}" if suffix == "B" else f"{amount:.1f} {suffix}"
        amount /= 1024
    return f"{amount:.1f} {SUFFIXES[-1]}"


def _inside(value: Any) -> str:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return raw(value)
