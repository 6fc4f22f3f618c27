"""Text, bytes, and what JSON can hold exactly: files that any other program can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

JSON_DEPTH_MAX = 100


class Text:
    """`str` as UTF-8."""

    name, version, artifact_type = "text", 1, "DataArtifact"

    def handles(self, value: object) -> bool:
        return type(value) is str

    def save(self, value: str, directory: Path) -> None:
        (directory / "text.txt").write_bytes(value.encode("utf-8", "surrogatepass"))

    def load(self, directory: Path, version: int) -> str:  # noqa: ARG002 - one version so far
        return (directory / "text.txt").read_bytes().decode("utf-8", "surrogatepass")


class Binary:
    """`bytes` as they are."""

    name, version, artifact_type = "bytes", 1, "DataArtifact"

    def handles(self, value: object) -> bool:
        return type(value) is bytes

    def save(self, value: bytes, directory: Path) -> None:
        (directory / "data.bin").write_bytes(value)

    def load(self, directory: Path, version: int) -> bytes:  # noqa: ARG002 - one version so far
        return (directory / "data.bin").read_bytes()


class Json:
    """None, truth values, numbers, and lists and dictionaries of them. NaN and infinities are written as JavaScript
    spells them. Tuples, sets and keys that are not text are left to others: JSON would change them."""

    name, version, artifact_type = "json", 1, "DataArtifact"

    def handles(self, value: object) -> bool:
        return is_exact_json(value)

    def save(self, value: Any, directory: Path) -> None:
        (directory / "value.json").write_text(json.dumps(value), encoding="ascii")

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        return json.loads((directory / "value.json").read_bytes())


def is_exact_json(value: object, depth: int = 0) -> bool:
    """Whether JSON gives the same value back, types included."""
    if value is None or type(value) in {bool, int, float, str}:
        return True
    if depth >= JSON_DEPTH_MAX:
        return False
    if type(value) is list:
        return all(is_exact_json(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(type(name) is str and is_exact_json(item, depth + 1) for name, item in value.items())
    return False
