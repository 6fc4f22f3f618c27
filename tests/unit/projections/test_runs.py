"""Runs and steps: what each event makes of the status, the times and the counts."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from ledger.envelope import Event
from ledger.events.pipeline import PipelineRegistered
from ledger.events.run import (
    Failure,
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
    StepPlan,
    StepQueued,
    StepRetrying,
    StepSkipped,
    StepStarted,
    StepStopped,
)
from ledger.events.stack import StackRegistered
from projections import steps
from tests.unit.projections.folding import NOON, Folded

PIPELINE, STACK, RUN, SECOND, SNAPSHOT, DATA, MODEL = (UUID(int=n) for n in range(1, 8))
TRAIN = steps.row_id(RUN, "train")
FAILURE = Failure("ValueError", "no convergence")


def created(run: UUID = RUN, *, folded: Folded | None = None) -> Folded:
    if folded is None:
        folded = Folded().record("pipeline", PIPELINE, PipelineRegistered(name="digits"))
        folded.record("stack", STACK, StackRegistered(name="local", components={}))
    event = RunCreated(name=f"run-{run.int}", snapshot_id=SNAPSHOT, pipeline_id=PIPELINE, stack_id=STACK, step_count=2)
    planned = RunStepsPlanned(steps=(StepPlan("load"), StepPlan("train", upstream=("load",), retries=1)))
    return folded.record("run", run, event, planned)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (RunProvisioned(), "provisioning"),
        (RunQueued(), "queued"),
        (RunStarted(), "running"),
        (RunCompleted(), "completed"),
        (RunCached(), "cached"),
        (RunFailed(failure=FAILURE), "failed"),
        (RunStopRequested(), "stopping"),
        (RunStopped(), "stopped"),
        (RunCancelRequested(), "cancelling"),
        (RunCancelled(), "cancelled"),
        (RunPaused(), "paused"),
        (RunResumed(), "resuming"),
    ],
)
def test_each_event_of_a_run_gives_it_a_status(event: Event, status: str) -> None:
    folded = created()
    assert folded.row("runs", RUN)["status"] == "initializing"
    folded.record("run", RUN, event)
    assert folded.row("runs", RUN)["status"] == status
    assert folded.row("pipelines", PIPELINE)["latest_run_status"] == status


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (StepQueued(step="train"), "queued"),
        (StepStarted(step="train", attempt=1), "running"),
        (StepCompleted(step="train", attempt=1), "completed"),
        (StepCached(step="train", cache_key="k"), "cached"),
        (StepFailed(step="train", attempt=1, failure=FAILURE), "failed"),
        (StepRetrying(step="train", attempt=1, failure=FAILURE), "retrying"),
        (StepSkipped(step="train", reason="upstream failed"), "skipped"),
        (StepStopped(step="train"), "stopped"),
    ],
)
def test_each_event_of_a_step_gives_it_a_status(event: Event, status: str) -> None:
    folded = created().record("run", RUN, event)
    assert folded.row("steps", TRAIN)["status"] == status
    assert folded.row("runs", RUN)["version"] == 3, "the step's event is one of the run's stream"


def test_a_run_lasts_from_its_start_to_its_end() -> None:
    folded = created().record("run", RUN, RunStarted(), StepStarted(step="train", attempt=1), RunCompleted())
    run = folded.row("runs", RUN)
    assert run["started_at"] == NOON + timedelta(seconds=5)
    assert run["duration_seconds"] == 2.0


def test_a_run_that_never_started_has_no_duration() -> None:
    assert created().record("run", RUN, RunCached()).row("runs", RUN)["duration_seconds"] is None


def test_steps_are_counted_and_keep_their_topological_place() -> None:
    folded = created().record(
        "run",
        RUN,
        StepCached(step="load", cache_key="k"),
        StepStarted(step="train", attempt=1),
        StepFailed(step="train", attempt=1, failure=FAILURE),
    )
    run = folded.row("runs", RUN)
    assert (run["steps_completed"], run["steps_cached"], run["steps_failed"]) == (0, 1, 1)
    assert [folded.row("steps", steps.row_id(RUN, name))["index"] for name in ("load", "train")] == [0, 1]


def test_a_retried_step_begins_anew_and_forgets_the_failure_when_it_completes() -> None:
    folded = created().record(
        "run",
        RUN,
        StepStarted(step="train", attempt=1),
        StepRetrying(step="train", attempt=1, failure=FAILURE),
        StepStarted(step="train", attempt=2),
    )
    train = folded.row("steps", TRAIN)
    assert (train["attempt"], train["ended_at"], train["failure"]) == (2, None, FAILURE)
    folded.record("run", RUN, StepCompleted(step="train", attempt=2, outputs={"model": MODEL}))
    assert folded.row("steps", TRAIN)["failure"] is None


def test_a_resumed_run_runs_again_when_a_step_starts() -> None:
    folded = created().record("run", RUN, RunStarted(), RunPaused(), RunResumed(), StepStarted(step="load", attempt=1))
    assert folded.row("runs", RUN)["status"] == "running"


def test_the_pipeline_shows_its_newest_run() -> None:
    folded = created(SECOND, folded=created())
    folded.record("run", RUN, RunCompleted())
    pipeline = folded.row("pipelines", PIPELINE)
    assert (pipeline["run_count"], pipeline["latest_run_id"]) == (2, SECOND)
    assert pipeline["latest_run_status"] == "initializing"
    assert folded.row("runs", SECOND)["number"] == 2


def test_lineage_has_each_input_and_output_once() -> None:
    folded = created().record(
        "run",
        RUN,
        StepStarted(step="train", attempt=1, inputs={"data": DATA}),
        StepRetrying(step="train", attempt=1, failure=FAILURE),
        StepStarted(step="train", attempt=2, inputs={"data": DATA}),
        StepCompleted(step="train", attempt=2, outputs={"model": MODEL}),
    )
    edges = folded.rows.inserted("lineage_edges")
    assert {(edge["direction"], edge["name"], edge["artifact_version_id"]) for edge in edges} == {
        ("in", "data", DATA),
        ("out", "model", MODEL),
    }
    assert len(edges) == 2
