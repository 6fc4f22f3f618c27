"""Runs as they stand: status, times and counts of steps; and the newest run that each pipeline shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never, cast

from ledger.events.run import (
    KIND,
    RunCached,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunPaused,
    RunProvisioned,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStepsPlanned,
    RunStopped,
    RunStopRequested,
    StepCached,
    StepCompleted,
    StepFailed,
    StepQueued,
    StepRetrying,
    StepSkipped,
    StepStarted,
    StepStopped,
)
from projections import lineage_edges, steps
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

RUNS = Table(
    name="runs",
    kind=KIND,
    summary="Executions of a pipeline: steps, logs, comparison.",
    listed=("name", "pipeline", "status", "stack", "started_at", "duration_seconds"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True, immutable=True),
        Column("number", "int", immutable=True),
        Column("status", "text", indexed=True),
        Column("pipeline_id", "uuid", indexed=True, immutable=True, loads="pipelines", owner="pipelines"),
        Column("pipeline", "text", indexed=True, immutable=True),
        Column("stack_id", "uuid", indexed=True, immutable=True, reads="stacks"),
        Column("stack", "text", indexed=True, immutable=True),
        Column("snapshot_id", "uuid", indexed=True, immutable=True),
        Column("parameters", "json", immutable=True),
        Column("environment", "json", immutable=True),
        Column("cause", "text", immutable=True),
        Column("reason", "text"),
        Column("failure", "json"),
        Column("started_at", "time", indexed=True, happened=True),
        Column("ended_at", "time"),
        Column("duration_seconds", "float", indexed=True),
        Column("step_count", "int", immutable=True),
        Column("steps_planned", "int"),
        Column("steps_completed", "int"),
        Column("steps_cached", "int"),
        Column("steps_failed", "int"),
    ),
)
TABLES = (RUNS, steps.STEPS, lineage_edges.LINEAGE_EDGES)

RunEvent = (
    RunCreated
    | RunStepsPlanned
    | RunProvisioned
    | RunQueued
    | RunStarted
    | RunCompleted
    | RunCached
    | RunFailed
    | RunStopRequested
    | RunStopped
    | RunCancelRequested
    | RunCancelled
    | RunPaused
    | RunResumed
)
StepEvent = (
    StepQueued | StepStarted | StepCompleted | StepCached | StepFailed | StepRetrying | StepSkipped | StepStopped
)


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    event = recorded.event
    if isinstance(event, RunCreated):
        yield "pipelines", event.pipeline_id
        yield "stacks", event.stack_id
    elif isinstance(event, StepEvent):
        yield "steps", steps.row_id(recorded.stream.id, event.step)
        yield from lineage_edges.touches(recorded.stream.id, event)


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    event = cast("RunEvent | StepEvent", recorded.event)
    if isinstance(event, StepEvent):
        steps.apply(rows, recorded, event)
        lineage_edges.apply(rows, recorded.stream.id, event)
        _count_step(rows, recorded.stream.id, event)
    else:
        _apply_to_run(rows, recorded, event)


def _apply_to_run(rows: Rows, recorded: RecordedEvent, event: RunEvent) -> None:  # noqa: C901 - a case per event
    id_, at = recorded.stream.id, recorded.happened_at
    match event:
        case RunCreated():
            _create(rows, id_, event)
        case RunStepsPlanned():
            steps.plan(rows, recorded.stream.id, event)
            planned = rows.get("runs", id_)["steps_planned"] + len(event.steps)
            rows.update("runs", id_, steps_planned=planned)
        case RunProvisioned():
            _move(rows, id_, "provisioning")
        case RunQueued():
            _move(rows, id_, "queued", reason=event.reason)
        case RunStarted():
            _move(rows, id_, "running", started_at=at)
        case RunCompleted():
            _end(rows, id_, "completed", at=at)
        case RunCached():
            _end(rows, id_, "cached", at=at)
        case RunFailed():
            _end(rows, id_, "failed", at=at, failure=event.failure)
        case RunStopRequested():
            _move(rows, id_, "stopping", reason=event.reason)
        case RunStopped():
            _end(rows, id_, "stopped", at=at)
        case RunCancelRequested():
            _move(rows, id_, "cancelling", reason=event.reason)
        case RunCancelled():
            _end(rows, id_, "cancelled", at=at)
        case RunPaused():
            _move(rows, id_, "paused", reason=event.reason)
        case RunResumed():
            _move(rows, id_, "resuming")
        case _:
            assert_never(event)


def _create(rows: Rows, id_: UUID, event: RunCreated) -> None:
    pipeline = rows.get("pipelines", event.pipeline_id)
    number = pipeline["run_count"] + 1
    rows.insert(
        "runs",
        id_,
        name=event.name,
        number=number,
        status="initializing",
        pipeline_id=event.pipeline_id,
        pipeline=pipeline["name"],
        stack_id=event.stack_id,
        stack=rows.get("stacks", event.stack_id)["name"],
        snapshot_id=event.snapshot_id,
        parameters=event.parameters,
        environment=event.environment,
        cause=event.cause,
        reason="",
        step_count=event.step_count,
        steps_planned=0,
        steps_completed=0,
        steps_cached=0,
        steps_failed=0,
    )
    rows.update("pipelines", event.pipeline_id, run_count=number, latest_run_id=id_, latest_run_status="initializing")


def _move(rows: Rows, id_: UUID, status: str, **values: Any) -> None:
    """Gives a run its next status, and shows it at the pipeline if this is its newest run."""
    rows.update("runs", id_, status=status, **values)
    pipeline_id = rows.get("runs", id_)["pipeline_id"]
    if rows.get("pipelines", pipeline_id)["latest_run_id"] == id_:
        rows.update("pipelines", pipeline_id, latest_run_status=status)


def _end(rows: Rows, id_: UUID, status: str, *, at: datetime, **values: Any) -> None:
    started = rows.get("runs", id_)["started_at"]
    _move(rows, id_, status, ended_at=at, duration_seconds=steps.seconds_between(started, at), **values)


def _count_step(rows: Rows, id_: UUID, event: StepEvent) -> None:
    run = rows.get("runs", id_)
    match event:
        case StepCompleted():
            rows.update("runs", id_, steps_completed=run["steps_completed"] + 1)
        case StepCached():
            rows.update("runs", id_, steps_cached=run["steps_cached"] + 1)
        case StepFailed():
            rows.update("runs", id_, steps_failed=run["steps_failed"] + 1)
        case StepStarted() if run["status"] == "resuming":
            _move(rows, id_, "running")
        case StepStarted() | StepQueued() | StepRetrying() | StepSkipped() | StepStopped():
            pass
        case _:
            assert_never(event)
