"""`KEY=VALUE` arguments: settings, labels, parameters of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from everline.cli.failures import UsageFailure


def parse_assignments(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """The texts by key; a key given twice is a mistake, not a choice."""
    parsed: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageFailure(f"{option} {text!r} is not KEY=VALUE")
        if key in parsed:
            raise UsageFailure(f"{option} names {key!r} twice")
        parsed[key] = value
    return parsed


def parse_values(texts: Sequence[str], *, option: str) -> dict[str, Any]:
    """As `parse_assignments`, with values read as JSON where they are JSON: `C=0.5` is a number, `name=x` a text."""
    return {key: _value(text) for key, text in parse_assignments(texts, option=option).items()}


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """Labels are texts and stay texts."""
    return parse_assignments(texts, option="--label")


def merged(current: Mapping[str, Any], changes: Mapping[str, Any], *, without: Sequence[str]) -> dict[str, Any]:
    """The current mapping with changes made and keys removed; removing what is not there is a mistake."""
    for key in without:
        if key not in current:
            raise UsageFailure(f"there is no {key!r} to remove", hint=f"there are: {', '.join(current) or 'none'}")
    return {key: value for key, value in {**current, **changes}.items() if key not in without}


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    """NaN and Infinity are not JSON: they stay texts."""
    raise ValueError(name)
