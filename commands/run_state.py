"""A run and its steps as the events leave them, and the tables of what may happen in which status."""

from __future__ import annotations

from typing import assert_never

import msgspec

from commands.changes import digest, existing
from ledger.envelope import Event
from ledger.events.run import (
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

Events = frozenset[type[Event]]

_ABORTED: Events = frozenset({RunFailed, RunStopRequested, RunCancelRequested})
_FINISHED: Events = frozenset({RunCompleted, RunCached})
_STEP_BEGINS: Events = frozenset({StepQueued, StepStarted, StepCached})
_STEP_ENDS: Events = frozenset({StepCompleted, StepFailed, StepSkipped, StepStopped})

RUN_MAY: dict[str, Events] = {
    "initializing": _ABORTED | {RunProvisioned, RunQueued, RunStarted},
    "provisioning": _ABORTED | {RunQueued, RunStarted},
    "queued": _ABORTED | {RunProvisioned, RunStarted},
    "running": _ABORTED | _FINISHED | _STEP_BEGINS | _STEP_ENDS | {StepRetrying, RunPaused},
    "paused": _ABORTED | _STEP_ENDS | {StepRetrying, RunResumed},
    "resuming": _ABORTED | _FINISHED | _STEP_BEGINS | _STEP_ENDS | {StepRetrying, RunPaused},
    "stopping": _FINISHED | _STEP_ENDS | {RunStopped, RunFailed, RunCancelRequested},
    "cancelling": _FINISHED | _STEP_ENDS | {RunCancelled, RunFailed},
    "completed": frozenset(),
    "cached": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
    "cancelled": frozenset(),
}
"""From a run's status to the events that may follow. A run that is asked to stop may still end by itself before."""

STEP_MAY: dict[str, Events] = {
    "initializing": _STEP_BEGINS | {StepSkipped, StepStopped},
    "queued": frozenset({StepStarted, StepCached, StepSkipped, StepStopped}),
    "running": frozenset({StepCompleted, StepFailed, StepRetrying, StepStopped}),
    "retrying": frozenset({StepQueued, StepStarted, StepSkipped, StepStopped}),
    "completed": frozenset(),
    "cached": frozenset(),
    "failed": frozenset(),
    "skipped": frozenset(),
    "stopped": frozenset(),
}
"""From a step's status to the events that may follow, while the run lets them through."""

BECOMES: dict[type[Event], str] = {
    RunProvisioned: "provisioning",
    RunQueued: "queued",
    RunStarted: "running",
    RunCompleted: "completed",
    RunCached: "cached",
    RunFailed: "failed",
    RunStopRequested: "stopping",
    RunStopped: "stopped",
    RunCancelRequested: "cancelling",
    RunCancelled: "cancelled",
    RunPaused: "paused",
    RunResumed: "resuming",
    StepQueued: "queued",
    StepStarted: "running",
    StepCompleted: "completed",
    StepCached: "cached",
    StepFailed: "failed",
    StepRetrying: "retrying",
    StepSkipped: "skipped",
    StepStopped: "stopped",
}
"""The status in which an event leaves the run or the step it is about."""

SUCCESSFUL = frozenset({"completed", "cached", "skipped"})
"""Statuses of a step that let the ones after it start, and the run complete."""

StepEvent = (
    StepQueued | StepStarted | StepCompleted | StepCached | StepFailed | StepRetrying | StepSkipped | StepStopped
)
RunStatusEvent = (
    RunProvisioned
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
TransitionEvent = RunStatusEvent | StepEvent
RunEvent = RunCreated | RunStepsPlanned | TransitionEvent


class StepState(msgspec.Struct, frozen=True):
    """`attempt` is the last one that was started."""

    upstream: tuple[str, ...]
    retries: int
    status: str = "initializing"
    attempt: int = 0

    @property
    def ended(self) -> bool:
        return not STEP_MAY[self.status]


class State(msgspec.Struct, frozen=True):
    """`content` stands for what the run was created with."""

    content: bytes
    cause: str
    steps: dict[str, StepState] = {}
    status: str = "initializing"

    @property
    def ended(self) -> bool:
        return not RUN_MAY[self.status]


def evolve(state: State | None, event: RunEvent) -> State:
    match event:
        case RunCreated():
            return State(digest(event), event.cause)
        case RunStepsPlanned():
            before = existing(state, event)
            planned = {step.name: StepState(step.upstream, step.retries) for step in event.steps}
            return msgspec.structs.replace(before, steps=before.steps | planned)
        case (
            RunProvisioned()
            | RunQueued()
            | RunStarted()
            | RunCompleted()
            | RunCached()
            | RunFailed()
            | RunStopRequested()
            | RunStopped()
            | RunCancelRequested()
            | RunCancelled()
            | RunPaused()
            | RunResumed()
        ):
            return msgspec.structs.replace(existing(state, event), status=BECOMES[type(event)])
        case (
            StepQueued()
            | StepStarted()
            | StepCompleted()
            | StepCached()
            | StepFailed()
            | StepRetrying()
            | StepSkipped()
            | StepStopped()
        ):
            return with_step(existing(state, event), event)
        case _:
            assert_never(event)


def with_step(state: State, event: StepEvent) -> State:
    """The run after something happened to one of its steps; a resumed run runs again when a step starts."""
    before = state.steps[event.step]
    attempt = event.attempt if isinstance(event, StepStarted) else before.attempt
    step = msgspec.structs.replace(before, status=BECOMES[type(event)], attempt=attempt)
    resumed = isinstance(event, StepStarted) and state.status == "resuming"
    status = "running" if resumed else state.status
    return msgspec.structs.replace(state, steps=state.steps | {event.step: step}, status=status)
