"""Tells the demo while it happens, and keeps what was told as one document for machines.

A section is one idea: a sentence, the command that a user would type, what it answers, and the checks that held.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from everline.cli import tables
from everline.cli.cells import duration

INDENT = 2
Row = dict[str, Any]


class Narrator:
    """Without a console it only records."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._began = time.monotonic()
        self.sections: list[dict[str, Any]] = []

    def section(self, title: str, idea: str) -> None:
        """Begin the next section."""
        self.sections.append({"title": title, "idea": idea, "answers": [], "checks": []})
        if self._console:
            number = len(self.sections)
            self._console.print()
            self._console.print(Rule(Text.assemble((f"{number}  ", "dim"), (title, "bold")), align="left", style="dim"))
            self._console.print(Padding(Text(idea), (0, INDENT)))

    def command(self, command: str) -> None:
        """A command as a user types it."""
        self.sections[-1]["answers"].append({"command": command, "items": []})
        self._line(Text.assemble(("$ ", "dim"), (command, "cyan")), before=1)

    def answer(self, command: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """A command, and the table that it answers."""
        self.command(command)
        self.sections[-1]["answers"][-1]["items"] = list(rows)
        for line in tables.aligned(rows, tables.columns(columns)):
            self._line(Text.assemble(*line))

    def say(self, text: str, style: str = "") -> None:
        """A remark; not part of the document."""
        if self._console:
            self._line(Text(text, style))

    def check(self, what: str, held: bool, detail: str = "") -> None:
        """Something that must be so; the demo's exit code is 0 only if all of them held."""
        self.sections[-1]["checks"].append({"what": what, "ok": held, "detail": detail})
        if self._console:
            mark = Text.assemble(
                ("✓ " if held else "✗ ", "green" if held else "bold red"), (what, "" if held else "bold")
            )
            if detail:
                mark.append(f"  {detail}", "dim")
            self._line(mark)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A spinner on a terminal while something takes its time."""
        if self._console and self._console.is_terminal:
            with self._console.status(Text(text, "dim")):
                yield
        else:
            yield

    @property
    def checks(self) -> list[dict[str, Any]]:
        """All checks so far."""
        return [check for section in self.sections for check in section["checks"]]

    @property
    def held(self) -> bool:
        """Whether there were checks and each of them held."""
        return bool(self.checks) and all(check["ok"] for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Everything that was told."""
        return {"ok": self.held, "seconds": round(time.monotonic() - self._began, 2), "sections": self.sections}

    def end(self) -> None:
        """The verdict."""
        if not self._console:
            return
        failed = [check["what"] for check in self.checks if not check["ok"]]
        spent = duration(time.monotonic() - self._began)
        verdict = (
            Text.assemble(
                (f"{len(failed)} of {len(self.checks)} checks failed", "bold red"), f" in {spent}: {'; '.join(failed)}"
            )
            if failed
            else Text.assemble((f"All {len(self.checks)} checks held", "bold green"), f" in {spent}.")
        )
        self._console.print()
        self._console.print(Rule(style="dim"))
        self._line(verdict)

    def _line(self, text: Text, *, before: int = 0) -> None:
        """One line, indented, never cut: longer than the terminal it wraps there."""
        if self._console:
            self._console.print("\n" * before, end="")
            self._console.print(Text(" " * INDENT) + text, soft_wrap=True)
