"""The steps of runs: one row for each, whatever the number of attempts. Their events are in the run's stream."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, assert_never

from ledger.events.run import (
    RunStepsPlanned,
    StepCached,
    StepCompleted,
    StepFailed,
    StepQueued,
    StepRetrying,
    StepSkipped,
    StepStarted,
    StepStopped,
)
from ledger.values import derived_id
from projections.table import Column, Table

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows
    from projections.runs import StepEvent

STEPS = Table(
    name="steps",
    kind="step",
    summary="Steps of runs, with their attempts.",
    listed=("name", "run", "status", "attempt", "started_at", "duration_seconds"),
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("index", "int", immutable=True),
        Column("run_id", "uuid", indexed=True, immutable=True, owner="runs"),
        Column("run", "text", immutable=True),
        Column("pipeline_id", "uuid", immutable=True),
        Column("pipeline", "text", indexed=True, immutable=True),
        Column("upstream", "json", immutable=True),
        Column("retries", "int", immutable=True),
        Column("status", "text", indexed=True),
        Column("attempt", "int"),
        Column("cache_key", "text", indexed=True),
        Column("original_run_id", "uuid"),
        Column("inputs", "json"),
        Column("outputs", "json"),
        Column("logs_uri", "text"),
        Column("reason", "text"),
        Column("failure", "json"),
        Column("started_at", "time", indexed=True, happened=True),
        Column("ended_at", "time"),
        Column("duration_seconds", "float", indexed=True),
    ),
)

IDS_KEPT_MAX = 10_000
"""Derived ids that are remembered: every event of a step asks for its id again."""


@lru_cache(IDS_KEPT_MAX)
def row_id(run_id: UUID, step: str) -> UUID:
    """A step's id follows from its run and name."""
    return derived_id("step", run_id, step)


def plan(rows: Rows, run_id: UUID, event: RunStepsPlanned) -> None:
    """The rows of a slice of a run's steps; `index` counts from 0 in topological order."""
    run = rows.get("runs", run_id)
    for index, step in enumerate(event.steps, start=run["steps_planned"]):
        rows.insert(
            "steps",
            row_id(run_id, step.name),
            name=step.name,
            index=index,
            run_id=run_id,
            run=run["name"],
            pipeline_id=run["pipeline_id"],
            pipeline=run["pipeline"],
            upstream=step.upstream,
            retries=step.retries,
            status="initializing",
            attempt=0,
            cache_key="",
            inputs={},
            outputs={},
            logs_uri="",
            reason="",
        )


def apply(rows: Rows, recorded: RecordedEvent, event: StepEvent) -> None:
    id_, at = row_id(recorded.stream.id, event.step), recorded.happened_at
    match event:
        case StepQueued():
            rows.update("steps", id_, status="queued")
        case StepStarted():
            _start(rows, id_, event, at=at)
        case StepCompleted():
            _end(rows, id_, "completed", at=at, attempt=event.attempt, outputs=event.outputs, failure=None)
        case StepCached():
            _cache(rows, id_, event, at=at)
        case StepFailed():
            _end(rows, id_, "failed", at=at, attempt=event.attempt, failure=event.failure)
        case StepRetrying():
            _end(rows, id_, "retrying", at=at, attempt=event.attempt, failure=event.failure)
        case StepSkipped():
            _end(rows, id_, "skipped", at=at, reason=event.reason)
        case StepStopped():
            _end(rows, id_, "stopped", at=at)
        case _:
            assert_never(event)


def seconds_between(start: datetime | None, end: datetime) -> float | None:
    """Never negative: two clocks may have told the two times."""
    return None if start is None else max(0.0, (end - start).total_seconds())


def _start(rows: Rows, id_: UUID, event: StepStarted, *, at: datetime) -> None:
    """A new attempt: its times begin anew, those of the attempt before are in the history."""
    rows.update(
        "steps",
        id_,
        status="running",
        attempt=event.attempt,
        inputs=event.inputs,
        cache_key=event.cache_key,
        logs_uri=event.logs_uri,
        started_at=at,
        ended_at=None,
        duration_seconds=None,
    )


def _cache(rows: Rows, id_: UUID, event: StepCached, *, at: datetime) -> None:
    _end(
        rows,
        id_,
        "cached",
        at=at,
        cache_key=event.cache_key,
        inputs=event.inputs,
        outputs=event.outputs,
        original_run_id=event.original_run_id,
    )


def _end(rows: Rows, id_: UUID, status: str, *, at: datetime, **values: Any) -> None:
    duration = seconds_between(rows.get("steps", id_)["started_at"], at)
    rows.update("steps", id_, status=status, ended_at=at, duration_seconds=duration, **values)
