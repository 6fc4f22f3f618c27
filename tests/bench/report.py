"""A row of the bench: a value beside its reference of the same run and its budget; as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

WIDTH = 200


class Budget(NamedTuple):
    """What a row must reach, by its value or by its ratio."""

    limit: float
    side: Literal["least", "most"]
    of: Literal["value", "ratio"] = "value"

    @property
    def shown(self) -> str:
        sign = ">=" if self.side == "least" else "<="
        return f"{sign} {self.limit:g}" + (" x" if self.of == "ratio" else "")


def at_least(limit: float, *, of: Literal["value", "ratio"] = "value") -> Budget:
    return Budget(limit, "least", of)


def at_most(limit: float, *, of: Literal["value", "ratio"] = "value") -> Budget:
    return Budget(limit, "most", of)


class Row(NamedTuple):
    """One measurement. `ratio` is value / reference for rates and reference / value for times: more is better."""

    name: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    detail: str = ""
    budget: Budget | None = None

    @property
    def verdict(self) -> str:
        """Empty for a row without a budget."""
        if self.budget is None:
            return ""
        value = self.value if self.budget.of == "value" else self.ratio
        if value is None:
            return "not known"
        met = value >= self.budget.limit if self.budget.side == "least" else value <= self.budget.limit
        return "met" if met else "MISSED"


def print_report(sections: Mapping[str, Sequence[Row]], *, machine: Mapping[str, str], skipped: Sequence[str]) -> None:
    """The table on standard output, with what was not measured below it."""
    console = Console(width=WIDTH, highlight=False)
    for name, value in machine.items():
        console.print(f"{name}: {value}", markup=False)
    table = Table("what", "value", "unit", "ratio", "reference", "budget", "verdict", "detail")
    for rows in sections.values():
        for row in rows:
            table.add_row(*_cells(row), style="bold" if row.verdict == "MISSED" else None)
        table.add_section()
    console.print(table)
    for reason in skipped:
        console.print(f"NOT MEASURED: {reason}", style="bold", markup=False)


def _cells(row: Row) -> list[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    budget = row.budget.shown if row.budget else ""
    return [row.name, f"{row.value:,.2f}", row.unit, ratio, row.reference, budget, row.verdict, row.detail]


def write_json(
    target: Path, sections: Mapping[str, Sequence[Row]], *, machine: Mapping[str, str], skipped: Sequence[str]
) -> None:
    """The same for programs."""
    rows = [
        {"section": section, **_fields(row), "verdict": row.verdict}
        for section, rows in sections.items()
        for row in rows
    ]
    target.write_text(json.dumps({"machine": machine, "rows": rows, "skipped": skipped}, indent=2) + "\n")


def _fields(row: Row) -> dict[str, Any]:
    return {**row._asdict(), "budget": row.budget.shown if row.budget else None}
