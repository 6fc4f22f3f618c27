"""Runs with a long past, made up: the same seed gives the same rows. They are copied into the real tables.

A run lives through about ten versions. Later every run that had failed gets a tag, in random order, so that rows
change whose status does not; before that a fifth of them is run again, so that old statuses change as well.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from projections.registry import table
from projections.runs import RUNS
from projections.table import Column, Table, node_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
POSITIONS_PER_RUN = 10
LIFE_POSITIONS = 1_000
"""Mean positions between two changes of a run: about a thousand runs are under way at any time, fewer in a short
history."""

PIPELINES, STACKS, STEPS = 50, 8, 5
RUNS_PER_COPY = 10_000
RETRIED_AT, TAGGED_AT = 0.6, 0.8
"""Shares of the history after which failed runs are run again, and tagged."""

RETRIED, TAG = 0.2, "reviewed"
NULL = r"\N"

Text = dict[str, str]
"""A row as COPY reads it."""


class Tables(NamedTuple):
    """Rows of a chunk of runs."""

    runs: list[Text]
    versions: list[Text]
    taggings: list[Text]


def time_at(position: int) -> datetime:
    """When a position was recorded."""
    return BEGAN + timedelta(milliseconds=100 * position)


def head_of(runs: int) -> int:
    return runs * POSITIONS_PER_RUN


async def fill(connection: AsyncConnection[Any], schema: str, *, workspace_id: UUID, runs: int, seed: int = 1) -> None:
    """Copies everything into tables without indexes."""
    pasts = Pasts(runs, seed)
    for first in range(0, runs, RUNS_PER_COPY):
        made = pasts.tables(range(first, min(runs, first + RUNS_PER_COPY)))
        for name, columns, rows in (
            (RUNS.name, RUNS.columns, made.runs),
            (RUNS.history, RUNS.history_columns, made.versions),
            ("taggings", table("taggings").columns, made.taggings),
        ):
            await _copy(connection, f"{schema}.{name}", columns, workspace_id=workspace_id, rows=rows)


async def _copy(
    connection: AsyncConnection[Any], target: str, columns: tuple[Column, ...], *, workspace_id: UUID, rows: list[Text]
) -> None:
    names = [column.name for column in columns]
    listed = ", ".join(f'"{name}"' for name in names)
    async with connection.cursor().copy(f"COPY {target} (workspace_id, {listed}) FROM STDIN".encode()) as copy:
        prefix = f"{workspace_id}\t"
        await copy.write("".join(f"{prefix}{chr(9).join([row[name] for name in names])}\n" for row in rows))


class Pasts:
    """What became of each run, by its number."""

    def __init__(self, runs: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._head = head_of(runs)
        self._life = min(LIFE_POSITIONS, self._head // 100)

    def tables(self, numbers: range) -> Tables:
        made = Tables([], [], [])
        for number in numbers:
            past = Past(RUNS, self._run(number), 1 + number * POSITIONS_PER_RUN)
            for position, values in self._changes(past):
                if position > self._head:
                    break
                past.change(position, values)
                if "tags" in values:
                    made.taggings.append(self._tagging(past.row["id"], position))
            made.runs.append(past.row)
            made.versions.extend(past.closed)
        return made

    def _run(self, number: int) -> Text:
        pipeline, stack = self._random.randrange(PIPELINES), self._random.randrange(STACKS)
        return {
            "id": f"{self._random.getrandbits(128):032x}",
            "name": f"run-{number:07d}",
            "number": str(number),
            "status": "initializing",
            "pipeline_id": f"{pipeline:032x}",
            "pipeline": f"pipeline-{pipeline}",
            "stack_id": f"{stack:032x}",
            "stack": f"stack-{stack}",
            "snapshot_id": f"{pipeline:032x}",
            "parameters": f'{{"C": {number % 100}}}',
            "environment": "{}",
            "cause": "",
            "reason": "",
            "step_count": str(STEPS),
            "steps_planned": str(STEPS),
            "steps_completed": "0",
            "steps_cached": "0",
            "steps_failed": "0",
        }

    def _changes(self, past: Past) -> Iterator[tuple[int, Text]]:
        position = past.position
        for status in ("provisioning", "queued"):
            yield (position := position + self._gap()), {"status": status}
        started = position = position + self._gap()
        yield started, {"status": "running", "started_at": time_at(started).isoformat()}
        for step in range(1, STEPS + 1):
            yield (position := position + self._gap()), {"steps_completed": str(step)}
        status = self._random.choices(("completed", "failed", "cancelled"), (88, 10, 2))[0]
        yield (position := position + self._gap()), _ended(status, started, position)
        if status == "failed":
            yield from self._afterwards(position, started)

    def _afterwards(self, failed: int, started: int) -> Iterator[tuple[int, Text]]:
        """Failed runs are retried and tagged long after."""
        retried = int(self._head * RETRIED_AT) + self._random.randrange(self._head // 20)
        if failed < retried and self._random.random() < RETRIED:
            yield retried, {"status": "resuming"}
            yield retried + 1, {"status": "running"}
            yield retried + 2, _ended("completed", started, retried + 2)
        tagged = int(self._head * TAGGED_AT) + self._random.randrange(self._head // 20)
        if failed < tagged:
            yield tagged, {"tags": f"{{{TAG}}}"}

    def _gap(self) -> int:
        return 1 + int(self._random.expovariate(1 / self._life))

    def _tagging(self, run: str, position: int) -> Text:
        given = {"tag_id": "0" * 32, "tag": TAG, "resource_kind": RUNS.kind, "resource_id": run}
        return Past(table("taggings"), {"id": f"{self._random.getrandbits(128):032x}", **given}, position).row


def _ended(status: str, started: int, position: int) -> Text:
    seconds = (time_at(position) - time_at(started)).total_seconds()
    return {"status": status, "ended_at": time_at(position).isoformat(), "duration_seconds": str(seconds)}


class Past:
    """The versions of one row, with the intervals that `projections/rows.py` would give them."""

    def __init__(self, declared: Table, values: Text, position: int) -> None:
        self._keyed = [(column.name, column.since, column.node) for column in declared.keyed]
        self.position = position
        self.closed: list[Text] = []
        at, began = time_at(position).isoformat(), str(position)
        self.row: Text = {
            **{column.name: "{}" if column.type == "text_list" else NULL for column in declared.columns},
            **values,
            **dict.fromkeys(declared.since_names, began),
            "created_position": began,
            "created_at": at,
            "created_by": "ada",
            "from_position": began,
            "updated_at": at,
            "updated_by": "ada",
            "version": "1",
            "deleted": "f",
        }

    def change(self, position: int, values: Text) -> None:
        row, at = self.row, str(position)
        closed = {**row, "to_position": at}
        for name, since, node in self._keyed:
            ended = name in values and values[name] != row[name]
            closed[node] = str(node_of(int(row[since]), position)) if ended else NULL
            if ended:
                row[since] = at
        self.closed.append(closed)
        row.update(values, from_position=at, updated_at=time_at(position).isoformat())
        row["version"] = str(int(row["version"]) + 1)
