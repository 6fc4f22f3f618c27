"""Values of a person's program as JSON for the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

DEPTH_MAX = 50
INT_MAX = 2**63 - 1


def jsonable(value: Any, *, strict: bool = False, depth: int = 0) -> Any:
    """The value as JSON has it. NaN and infinities become "NaN", "Infinity" and "-Infinity", NumPy scalars numbers,
    times RFC 3339 text, tuples lists, dictionary keys text. What JSON has no word for becomes its `str`; with
    `strict`, and when nested too deeply, it raises TypeError."""
    if depth > DEPTH_MAX:
        raise TypeError(f"it is nested more than {DEPTH_MAX} deep")
    match value:
        case None | bool():
            return value
        case Enum():
            return jsonable(value.value, strict=strict, depth=depth + 1)
        case str():
            return str(value)
        case int():
            return int(value) if abs(value) <= INT_MAX else str(value)
        case float():
            return written_float(float(value))
        case Mapping():
            return {str(key): jsonable(item, strict=strict, depth=depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item, strict=strict, depth=depth + 1) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
        case UUID() | PurePath() | Decimal():
            return str(value)
        case _:
            return _foreign(value, strict=strict, depth=depth)


def written_float(value: float) -> float | str:
    """JSON has no NaN and no infinities: they are spelled out."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _foreign(value: Any, *, strict: bool, depth: int) -> Any:
    """NumPy's scalars, small arrays and tensors of one element know their Python value."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 2) == 1 and getattr(value, "shape", None) in {(), (1,)}:
        return jsonable(item(), strict=strict, depth=depth + 1)
    if strict:
        raise TypeError(f"{type(value).__name__} is not JSON")
    return str(value)
