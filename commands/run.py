"""Runs: every transition of a run and of its steps is decided against the whole run, by the tables of `run_state.py`.

An ended run stays ended, a completed one has only finished steps, and one attempt of a step runs at a time.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from itertools import islice
from typing import assert_never

from commands.changes import creation
from commands.command import Decided, Entity, Found, Fresh, Lookup, Rejection, name_key
from commands.fields import Ref
from commands.rejections import AlreadyExists
from commands.run_commands import COMMANDS, CacheStep, CompleteStep, CreateRun, RunCommand, StartStep
from commands.run_events import wished
from commands.run_rejections import (
    RunAlreadyEnded,
    RunAlreadyStarted,
    RunAlreadyStopping,
    RunNotCancelling,
    RunNotPausable,
    RunNotPaused,
    RunNotRunning,
    RunNotStopping,
    RunRefusal,
    StepAlreadyEnded,
    StepAlreadyStarted,
    StepNotStarted,
    StepsNotFinished,
    StepsNotSuccessful,
    UnknownStep,
    UpstreamNotFinished,
    WrongAttempt,
)
from commands.run_state import RUN_MAY, STEP_MAY, SUCCESSFUL, State, StepEvent, StepState, TransitionEvent, evolve
from commands.slices import in_slices
from ledger.envelope import Event, NewEvent
from ledger.events import run as events
from ledger.events.run import KIND
from ledger.values import StreamId

__all__ = ["COMMANDS", "KIND", "WHY_NOT_RESTORED", "State", "claims", "decide", "evolve", "lookups"]

WHY_NOT_RESTORED = "A run is what happened; it can be stopped or run again, not undone."
NAMES_SHOWN = 20
"""How many step names a rejection lists."""

REFUSED_AS: dict[type[Event], type[RunRefusal]] = {
    events.RunProvisioned: RunAlreadyStarted,
    events.RunQueued: RunAlreadyStarted,
    events.RunStarted: RunAlreadyStarted,
    events.RunStopRequested: RunAlreadyStopping,
    events.RunCancelRequested: RunAlreadyStopping,
    events.RunStopped: RunNotStopping,
    events.RunCancelled: RunNotCancelling,
    events.RunPaused: RunNotPausable,
    events.RunResumed: RunNotPaused,
}
"""How a live run refuses what its status does not allow; what is not here needs a running run."""


def claims(state: State) -> set[str]:
    """Its cause, for ever: one cause makes one run."""
    return {name_key("run_cause", state.cause)} if state.cause else set()


def lookups(command: RunCommand, found: dict[str, Found]) -> dict[str, Lookup]:
    if isinstance(command, CreateRun):
        return create_lookups(command, found)
    wanted: dict[str, Lookup] = {"run": Entity(KIND, command.run)}
    if isinstance(command, StartStep | CacheStep):
        wanted |= artifact_lookups("input", command.inputs)
    if isinstance(command, CompleteStep | CacheStep):
        wanted |= artifact_lookups("output", command.outputs)
    if isinstance(command, CacheStep) and command.original_run is not None:
        wanted["original run"] = Entity(KIND, command.original_run, unfenced=True)
    return wanted


def create_lookups(command: CreateRun, found: dict[str, Found]) -> dict[str, Lookup]:
    wanted: dict[str, Lookup] = {
        "run": Fresh(KIND, command.id),
        "snapshot": Entity("snapshot", command.snapshot),
        "stack": Entity("stack", command.stack),
    }
    if "snapshot" in found:
        wanted["pipeline"] = Entity("pipeline", str(found["snapshot"].state.pipeline_id))
    return wanted


def artifact_lookups(side: str, versions: dict[str, Ref]) -> dict[str, Lookup]:
    """Each must exist; one that was withdrawn meanwhile was used all the same."""
    return {
        f"{side} {name}": Entity("artifact_version", ref, deleted_too=True, unfenced=True)
        for name, ref in versions.items()
    }


def decide(command: RunCommand, found: dict[str, Found]) -> Decided:
    if isinstance(command, CreateRun):
        return create(command, found)
    run = found["run"]
    event = wished(command, found)
    return refusal(run.stream, run.state, event) or [NewEvent(run.stream, event)]


def create(command: CreateRun, found: dict[str, Found]) -> Decided:
    run, snapshot = found["run"], found["snapshot"]
    created = events.RunCreated(
        name=command.name,
        snapshot_id=snapshot.stream.id,
        pipeline_id=snapshot.state.pipeline_id,
        stack_id=found["stack"].stream.id,
        step_count=len(snapshot.state.steps),
        parameters=command.parameters,
        environment=command.environment,
        cause=command.cause,
    )
    if run.state is not None:
        return [] if run.state.content == evolve(None, created).content else AlreadyExists(run.stream)
    planned = [events.RunStepsPlanned(steps=part) for part in in_slices(snapshot.state.steps)]
    return creation(run, created, *planned, evolve=evolve)


def refusal(run: StreamId, state: State, event: TransitionEvent) -> Rejection | None:
    """Why the run does not allow the event; None if it does."""
    if state.ended:
        return RunAlreadyEnded(run=run.id, status=state.status)
    if type(event) not in RUN_MAY[state.status]:
        return REFUSED_AS.get(type(event), RunNotRunning)(run=run.id, status=state.status)
    match event:
        case events.RunCompleted() | events.RunCached():
            return unfinished(run, state) or unsuccessful(run, state)
        case events.RunFailed() | events.RunStopped() | events.RunCancelled():
            return still_running(run, state)
        case (
            events.StepQueued()
            | events.StepStarted()
            | events.StepCompleted()
            | events.StepCached()
            | events.StepFailed()
            | events.StepRetrying()
            | events.StepSkipped()
            | events.StepStopped()
        ):
            return refusal_of_step(run, state, event)
        case (
            events.RunProvisioned()
            | events.RunQueued()
            | events.RunStarted()
            | events.RunStopRequested()
            | events.RunCancelRequested()
            | events.RunPaused()
            | events.RunResumed()
        ):
            return None
        case _:
            assert_never(event)


def refusal_of_step(run: StreamId, state: State, event: StepEvent) -> Rejection | None:
    step = state.steps.get(event.step)
    if step is None:
        close = difflib.get_close_matches(event.step, state.steps, n=NAMES_SHOWN)
        return UnknownStep(run=run.id, step=event.step, known=close or list(islice(state.steps, NAMES_SHOWN)))
    if step.ended:
        return StepAlreadyEnded(run=run.id, step=event.step, status=step.status)
    if type(event) not in STEP_MAY[step.status]:
        needs_attempt = type(event) in STEP_MAY["running"]
        kind = StepNotStarted if needs_attempt else StepAlreadyStarted
        return kind(run=run.id, step=event.step, status=step.status)
    match event:
        case events.StepQueued() | events.StepCached():
            return waiting(run, state, event.step)
        case events.StepStarted():
            return waiting(run, state, event.step) or wrong_attempt(run, event, expected=step.attempt + 1)
        case events.StepCompleted() | events.StepFailed() | events.StepRetrying():
            return wrong_attempt(run, event, expected=step.attempt)
        case events.StepSkipped() | events.StepStopped():
            return None
        case _:
            assert_never(event)


def wrong_attempt(
    run: StreamId,
    event: events.StepStarted | events.StepCompleted | events.StepFailed | events.StepRetrying,
    *,
    expected: int,
) -> WrongAttempt | None:
    if event.attempt == expected:
        return None
    return WrongAttempt(run=run.id, step=event.step, attempt=event.attempt, expected=expected)


def waiting(run: StreamId, state: State, step: str) -> UpstreamNotFinished | None:
    """A step begins once everything before it succeeded."""
    names = [name for name in state.steps[step].upstream if state.steps[name].status not in SUCCESSFUL]
    if not names:
        return None
    return UpstreamNotFinished(run=run.id, step=step, waiting_for=names[:NAMES_SHOWN], count=len(names))


def unfinished(run: StreamId, state: State) -> StepsNotFinished | None:
    return _not_finished(run, state, lambda step: not step.ended)


def still_running(run: StreamId, state: State) -> StepsNotFinished | None:
    return _not_finished(run, state, lambda step: step.status == "running")


def _not_finished(run: StreamId, state: State, concerns: Callable[[StepState], bool]) -> StepsNotFinished | None:
    names = [name for name, step in state.steps.items() if concerns(step)]
    return StepsNotFinished(run=run.id, steps=names[:NAMES_SHOWN], count=len(names)) if names else None


def unsuccessful(run: StreamId, state: State) -> StepsNotSuccessful | None:
    names = [name for name, step in state.steps.items() if step.status not in SUCCESSFUL]
    return StepsNotSuccessful(run=run.id, steps=names[:NAMES_SHOWN], count=len(names)) if names else None
