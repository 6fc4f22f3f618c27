"""What may be a name, in the words of the server's rule, so that a bad one is refused before anything runs."""

from __future__ import annotations

import re

from everline.errors import InvalidPipeline

NAME_LENGTH_MAX = 200
NAME = re.compile(r"[^\s@/:,\x00-\x1f][^@/:,\x00-\x1f]*(?<!\s)")


def checked_name(name: str, *, what: str) -> str:
    """The name. Raises InvalidPipeline if it cannot be one."""
    if len(name) <= NAME_LENGTH_MAX and NAME.fullmatch(name):
        return name
    raise InvalidPipeline(
        f"{name!r} cannot name {what}",
        hint=f"1 to {NAME_LENGTH_MAX} characters without @ / : , or control characters, no space at either end",
    )
