"""The event that each command on a run stands for, if the run allows it."""

from __future__ import annotations

from typing import assert_never
from uuid import UUID

from commands.command import Found
from commands.fields import Ref
from commands.run_commands import (
    CacheStep,
    CancelRun,
    CompleteRun,
    CompleteStep,
    ConfirmRunCancelled,
    ConfirmRunStopped,
    FailRun,
    FailStep,
    PauseRun,
    ProvisionRun,
    QueueRun,
    QueueStep,
    ResumeRun,
    SkipStep,
    StartRun,
    StartStep,
    StepCommand,
    StopRun,
    StopStep,
    TransitionCommand,
)
from commands.run_state import RUN_MAY, State, StepEvent, TransitionEvent
from ledger.events import run as events


def wished(  # noqa: C901 - a flat list, one line a command
    command: TransitionCommand, found: dict[str, Found]
) -> TransitionEvent:
    """The event that a command stands for, if the run allows it."""
    state = found["run"].state
    match command:
        case ProvisionRun():
            return events.RunProvisioned()
        case QueueRun():
            return events.RunQueued(reason=command.reason)
        case StartRun():
            return events.RunStarted()
        case CompleteRun():
            cached = all(step.status == "cached" for step in state.steps.values())
            return events.RunCached() if cached else events.RunCompleted()
        case FailRun():
            return events.RunFailed(failure=command.failure)
        case StopRun():
            return events.RunStopRequested(graceful=command.graceful, reason=command.reason)
        case ConfirmRunStopped():
            return events.RunStopped()
        case CancelRun():
            return events.RunCancelRequested(reason=command.reason)
        case ConfirmRunCancelled():
            return events.RunCancelled()
        case PauseRun():
            return events.RunPaused(reason=command.reason)
        case ResumeRun():
            return events.RunResumed()
        case QueueStep() | StartStep() | CompleteStep() | CacheStep() | FailStep() | SkipStep() | StopStep():
            return wished_of_step(command, found)
        case _:
            assert_never(command)


def wished_of_step(command: StepCommand, found: dict[str, Found]) -> StepEvent:
    match command:
        case QueueStep():
            return events.StepQueued(step=command.step)
        case StartStep():
            return events.StepStarted(
                step=command.step,
                attempt=command.attempt,
                inputs=artifact_ids("input", command.inputs, found),
                cache_key=command.cache_key,
                logs_uri=command.logs_uri,
            )
        case CompleteStep():
            outputs = artifact_ids("output", command.outputs, found)
            return events.StepCompleted(step=command.step, attempt=command.attempt, outputs=outputs)
        case CacheStep():
            return events.StepCached(
                step=command.step,
                cache_key=command.cache_key,
                outputs=artifact_ids("output", command.outputs, found),
                inputs=artifact_ids("input", command.inputs, found),
                original_run_id=None if command.original_run is None else found["original run"].stream.id,
            )
        case FailStep():
            again = is_tried_again(command, found["run"].state)
            kind = events.StepRetrying if again else events.StepFailed
            return kind(step=command.step, attempt=command.attempt, failure=command.failure)
        case SkipStep():
            return events.StepSkipped(step=command.step, reason=command.reason)
        case StopStep():
            return events.StepStopped(step=command.step)
        case _:
            assert_never(command)


def is_tried_again(command: FailStep, state: State) -> bool:
    """While retries are left; never in a run that is asked to stop."""
    step = state.steps.get(command.step)
    return step is not None and command.attempt <= step.retries and events.StepRetrying in RUN_MAY[state.status]


def artifact_ids(side: str, versions: dict[str, Ref], found: dict[str, Found]) -> dict[str, UUID]:
    return {name: found[f"{side} {name}"].stream.id for name in versions}
