"""What a person's terminal gets, through rich: colour only where it is wanted, lines never cut or folded.

The one importer of rich outside the demo; imported only when something is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console
from rich.text import Text


def console(*, stderr: bool = False) -> Console:
    """A console for data: marks in it mean nothing, nothing is folded, and NO_COLOR means no style at all."""
    styled: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(stderr=stderr, color_system=styled, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_lines(lines: Iterable[Sequence[tuple[str, str]]], *, stderr: bool = False) -> None:
    """Write lines of (text, style) pieces whole; a line longer than the terminal wraps there, uncut."""
    target = console(stderr=stderr)
    for line in lines:
        target.print(Text.assemble(*line), soft_wrap=True)
