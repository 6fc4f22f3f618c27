"""Small files that programs leave for one another: replaced at once, readable by their owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_private(path: Path, text: str) -> None:
    """Replace the file; a reader sees the old text or the new one, also after a crash of this program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def write_json(path: Path, value: object) -> None:
    """Replace the file by `value` as JSON."""
    write_private(path, json.dumps(value) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; ValueError when it holds anything else."""
    value = json.loads(path.read_text())
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")  # noqa: TRY004  the content is wrong, not a type
    return value
