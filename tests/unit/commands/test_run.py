"""Runs and their steps: what may happen when, and how everything else is refused."""

from __future__ import annotations

import msgspec
import pytest

from commands.command import Command, name_key
from commands.rejections import AlreadyExists, EntityNotFound, NameTaken
from commands.run_commands import (
    COMMANDS,
    CacheStep,
    CancelRun,
    CompleteRun,
    CompleteStep,
    ConfirmRunCancelled,
    ConfirmRunStopped,
    CreateRun,
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
    StopRun,
    StopStep,
)
from commands.run_rejections import (
    RunAlreadyEnded,
    RunAlreadyStarted,
    RunAlreadyStopping,
    RunNotCancelling,
    RunNotPausable,
    RunNotPaused,
    RunNotRunning,
    RunNotStopping,
    StepAlreadyEnded,
    StepAlreadyStarted,
    StepNotStarted,
    StepsNotFinished,
    StepsNotSuccessful,
    UnknownStep,
    UpstreamNotFinished,
    WrongAttempt,
)
from commands.run_state import BECOMES, RUN_MAY, STEP_MAY
from ledger.envelope import Event, NewEvent
from ledger.events import run as events
from ledger.events.run import Failure, StepPlan
from ledger.values import new_id
from tests.support import first_events as first
from tests.support.deciding import World, given, stream

RUN = stream("run", "r")
REF = str(RUN.id)
BOOM = Failure("ValueError", "boom")
PLANS = (StepPlan("load"), StepPlan("train", ("load",), 1), StepPlan("report", ("train",)))


def a_run(*plans: StepPlan) -> World:
    return given(*first.run("r", *(plans or PLANS)))


def on(event: Event) -> NewEvent:
    return NewEvent(RUN, event)


def start(step: str, attempt: int = 1) -> StartStep:
    return StartStep(run=REF, step=step, attempt=attempt)


def complete(step: str, attempt: int = 1) -> CompleteStep:
    return CompleteStep(run=REF, step=step, attempt=attempt)


def fail(step: str, attempt: int = 1) -> FailStep:
    return FailStep(run=REF, step=step, attempt=attempt, failure=BOOM)


def executed(*steps: str) -> list[Command]:
    return [command for step in steps for command in (start(step), complete(step))]


STARTED = StartRun(run=REF)
ALL_DONE = [STARTED, *executed("load", "train", "report"), CompleteRun(run=REF)]


# Creating.


def test_a_run_gets_the_steps_of_its_snapshot_in_slices() -> None:
    plans = [StepPlan(f"s{number}") for number in range(120)]
    world = given(*first.stack("s"), *first.snapshot("p", *plans))
    made = world.when(
        CreateRun(id=RUN.id, name="r", snapshot=str(stream("snapshot", "p").id), stack="s", parameters={"a": 1})
    ).events()
    assert made[0] == on(
        events.RunCreated(
            name="r",
            snapshot_id=stream("snapshot", "p").id,
            pipeline_id=stream("pipeline", "p").id,
            stack_id=stream("stack", "s").id,
            step_count=120,
            parameters={"a": 1},
        )
    )
    slices = [new.event.steps for new in made[1:] if isinstance(new.event, events.RunStepsPlanned)]
    assert [len(part) for part in slices] == [50, 50, 20]
    assert [step for part in slices for step in part] == plans
    assert world.state(RUN).status == "initializing"


def test_the_same_run_again_is_nothing_even_after_it_moved_on_and_another_one_is_refused() -> None:
    world = given(*first.stack("s"), *first.snapshot("p", StepPlan("load")))
    command = CreateRun(id=RUN.id, name="r", snapshot=str(stream("snapshot", "p").id), stack="s")
    world.when(command, STARTED, command).then()
    world.when(msgspec.structs.replace(command, parameters={"a": 1})).then(AlreadyExists(RUN))


def test_one_cause_makes_one_run() -> None:
    world = given(*first.stack("s"), *first.snapshot("p", StepPlan("load")))
    command = CreateRun(id=RUN.id, name="r", snapshot=str(stream("snapshot", "p").id), stack="s", cause="tick:1")
    other = msgspec.structs.replace(command, id=new_id())
    world.when(command, other).then(NameTaken(name_key("run_cause", "tick:1"), RUN))


def test_a_run_needs_a_snapshot_and_a_stack() -> None:
    world = given(*first.stack("s"), *first.snapshot("p", StepPlan("load")))
    snapshot = str(stream("snapshot", "p").id)
    world.when(CreateRun(name="r", snapshot="p", stack="s")).then(EntityNotFound("snapshot", "p"))
    world.when(CreateRun(name="r", snapshot=snapshot, stack="x")).then(EntityNotFound("stack", "x"))


# A run's life.


def test_the_way_of_a_run() -> None:
    world = a_run()
    world.when(ProvisionRun(run=REF)).then(on(events.RunProvisioned()))
    world.when(QueueRun(run=REF, reason="full")).then(on(events.RunQueued(reason="full")))
    world.when(STARTED).then(on(events.RunStarted()))
    world.when(*executed("load", "train", "report"), CompleteRun(run=REF)).then(on(events.RunCompleted()))
    assert world.state(RUN).status == "completed"


def test_a_run_of_which_every_step_was_cached_is_cached() -> None:
    cached = [CacheStep(run=REF, step=plan.name, cache_key="k") for plan in PLANS]
    a_run().when(STARTED, *cached, CompleteRun(run=REF)).then(on(events.RunCached()))
    mixed = [*cached[:2], SkipStep(run=REF, step="report", reason="asked for")]
    a_run().when(STARTED, *mixed, CompleteRun(run=REF)).then(on(events.RunCompleted()))


def test_a_run_completes_only_with_every_step_finished_and_none_failed() -> None:
    a_run().when(STARTED, *executed("load"), CompleteRun(run=REF)).then(
        StepsNotFinished(run=RUN.id, steps=["train", "report"], count=2)
    )
    rest = [SkipStep(run=REF, step=step, reason="upstream failed") for step in ("train", "report")]
    a_run().when(STARTED, start("load"), fail("load"), *rest, CompleteRun(run=REF)).then(
        StepsNotSuccessful(run=RUN.id, steps=["load"], count=1)
    )


def test_a_long_list_of_steps_is_cut_and_counted() -> None:
    plans = [StepPlan(f"s{number}") for number in range(100)]
    refused = a_run(*plans).when(STARTED, CompleteRun(run=REF)).rejection()
    assert refused == StepsNotFinished(run=RUN.id, steps=[f"s{number}" for number in range(20)], count=100)
    assert refused.message().endswith("s19 and 80 more")


@pytest.mark.parametrize("before", [[], [ProvisionRun(run=REF)], [STARTED], [STARTED, PauseRun(run=REF)]])
def test_a_run_may_fail_at_any_time_unless_a_step_is_running(before: list[Command]) -> None:
    a_run().when(*before, FailRun(run=REF, failure=BOOM)).then(on(events.RunFailed(failure=BOOM)))


def test_a_run_does_not_fail_under_a_running_step() -> None:
    a_run().when(STARTED, start("load"), FailRun(run=REF, failure=BOOM)).then(
        StepsNotFinished(run=RUN.id, steps=["load"], count=1)
    )


def test_an_ended_run_stays_ended() -> None:
    world = a_run()
    world.when(*ALL_DONE)
    commands: list[Command] = [
        STARTED,
        CompleteRun(run=REF),
        StopRun(run=REF),
        CancelRun(run=REF),
        PauseRun(run=REF),
        ResumeRun(run=REF),
        FailRun(run=REF, failure=BOOM),
        start("load", 2),
        fail("load"),
        StopStep(run=REF, step="nowhere"),
    ]
    for command in commands:
        world.when(command).then(RunAlreadyEnded(run=RUN.id, status="completed"))


def test_the_same_transition_twice_is_refused() -> None:
    a_run().when(STARTED, STARTED).then(RunAlreadyStarted(run=RUN.id, status="running"))
    a_run().when(QueueRun(run=REF), QueueRun(run=REF)).then(RunAlreadyStarted(run=RUN.id, status="queued"))
    a_run().when(StopRun(run=REF), StopRun(run=REF)).then(RunAlreadyStopping(run=RUN.id, status="stopping"))


# Stopping, cancelling, pausing.


def test_a_stopping_run_ends_its_steps_and_starts_none() -> None:
    world = a_run(StepPlan("load"), StepPlan("other"), StepPlan("train", ("load",), 3))
    world.when(STARTED, start("load"), StopRun(run=REF, reason="enough")).then(
        on(events.RunStopRequested(graceful=True, reason="enough"))
    )
    world.when(start("other")).then(RunNotRunning(run=RUN.id, status="stopping"))
    world.when(ConfirmRunStopped(run=REF)).then(StepsNotFinished(run=RUN.id, steps=["load"], count=1))
    world.when(complete("load")).then(on(events.StepCompleted(step="load", attempt=1)))
    world.when(StopStep(run=REF, step="other")).then(on(events.StepStopped(step="other")))
    world.when(ConfirmRunStopped(run=REF)).then(on(events.RunStopped()))


def test_a_failure_in_a_stopping_run_is_not_tried_again() -> None:
    world = a_run(StepPlan("train", retries=5))
    world.when(STARTED, start("train"), StopRun(run=REF), fail("train")).then(
        on(events.StepFailed(step="train", attempt=1, failure=BOOM))
    )


def test_a_run_that_was_done_before_it_could_be_stopped_is_complete() -> None:
    a_run(StepPlan("load")).when(STARTED, start("load"), StopRun(run=REF), complete("load"), CompleteRun(run=REF)).then(
        on(events.RunCompleted())
    )


def test_a_stopping_run_can_be_cancelled() -> None:
    world = a_run()
    world.when(STARTED, StopRun(run=REF), CancelRun(run=REF, reason="now")).then(
        on(events.RunCancelRequested(reason="now"))
    )
    world.when(StopRun(run=REF)).then(RunAlreadyStopping(run=RUN.id, status="cancelling"))
    world.when(ConfirmRunStopped(run=REF)).then(RunNotStopping(run=RUN.id, status="cancelling"))
    world.when(ConfirmRunCancelled(run=REF)).then(on(events.RunCancelled()))


def test_nothing_is_confirmed_that_nobody_asked_for() -> None:
    a_run().when(STARTED, ConfirmRunStopped(run=REF)).then(RunNotStopping(run=RUN.id, status="running"))
    a_run().when(STARTED, ConfirmRunCancelled(run=REF)).then(RunNotCancelling(run=RUN.id, status="running"))


def test_a_paused_run_finishes_what_runs_and_goes_on_when_resumed() -> None:
    world = a_run()
    world.when(STARTED, start("load"), PauseRun(run=REF)).then(on(events.RunPaused()))
    world.when(complete("load")).then(on(events.StepCompleted(step="load", attempt=1)))
    world.when(start("train")).then(RunNotRunning(run=RUN.id, status="paused"))
    world.when(ResumeRun(run=REF)).then(on(events.RunResumed()))
    assert world.state(RUN).status == "resuming"
    world.when(start("train")).events()
    assert world.state(RUN).status == "running"


def test_pausing_and_resuming_at_the_wrong_time() -> None:
    a_run().when(PauseRun(run=REF)).then(RunNotPausable(run=RUN.id, status="initializing"))
    a_run().when(STARTED, ResumeRun(run=REF)).then(RunNotPaused(run=RUN.id, status="running"))


# Steps.


def test_a_step_of_a_run_that_did_not_start_cannot_start() -> None:
    a_run().when(start("load")).then(RunNotRunning(run=RUN.id, status="initializing"))


def test_a_step_names_what_it_took_and_gave() -> None:
    world = given(*first.run("r", *PLANS), first.artifact("digits"), first.artifact_version("digits", 1))
    version = stream("artifact_version", "digits@1").id
    begin = StartStep(run=REF, step="load", attempt=1, inputs={"x": "digits@1"}, cache_key="k", logs_uri="file:///logs")
    world.when(STARTED, begin).then(
        on(events.StepStarted(step="load", attempt=1, inputs={"x": version}, cache_key="k", logs_uri="file:///logs"))
    )
    done = CompleteStep(run=REF, step="load", attempt=1, outputs={"y": str(version)})
    world.when(done).then(on(events.StepCompleted(step="load", attempt=1, outputs={"y": version})))


def test_a_step_cannot_give_what_does_not_exist() -> None:
    done = CompleteStep(run=REF, step="load", attempt=1, outputs={"y": "digits@1"})
    a_run().when(STARTED, start("load"), done).then(EntityNotFound("artifact_version", "digits@1"))


def test_a_cached_step_names_its_origin() -> None:
    world = given(*first.run("r", *PLANS), *first.run("earlier", *PLANS))
    origin = stream("run", "earlier").id
    world.when(STARTED, CacheStep(run=REF, step="load", cache_key="k", original_run=str(origin))).then(
        on(events.StepCached(step="load", cache_key="k", original_run_id=origin))
    )


def test_a_step_waits_for_the_ones_before_it() -> None:
    waits = UpstreamNotFinished(run=RUN.id, step="train", waiting_for=["load"], count=1)
    for command in (start("train"), QueueStep(run=REF, step="train"), CacheStep(run=REF, step="train", cache_key="k")):
        a_run().when(STARTED, command).then(waits)
    a_run().when(STARTED, start("load"), fail("load"), start("train")).then(waits)


def test_a_failed_step_is_tried_again_while_retries_are_left() -> None:
    world = a_run(StepPlan("train", retries=1))
    world.when(STARTED, start("train"), fail("train")).then(
        on(events.StepRetrying(step="train", attempt=1, failure=BOOM))
    )
    world.when(complete("train")).then(StepNotStarted(run=RUN.id, step="train", status="retrying"))
    world.when(QueueStep(run=REF, step="train"), start("train", 2), fail("train", 2)).then(
        on(events.StepFailed(step="train", attempt=2, failure=BOOM))
    )
    world.when(start("train", 3)).then(StepAlreadyEnded(run=RUN.id, step="train", status="failed"))


def test_only_the_current_attempt_speaks() -> None:
    world = a_run(StepPlan("train", retries=1))
    world.when(STARTED, start("train", 2)).then(WrongAttempt(run=RUN.id, step="train", attempt=2, expected=1))
    world.when(start("train"), fail("train"), start("train", 1)).then(
        WrongAttempt(run=RUN.id, step="train", attempt=1, expected=2)
    )
    outdated = WrongAttempt(run=RUN.id, step="train", attempt=1, expected=2)
    world.when(start("train", 2), complete("train", 1)).then(outdated)
    world.when(fail("train", 1)).then(outdated)


def test_what_a_step_is_not_ready_for() -> None:
    running = StepAlreadyStarted(run=RUN.id, step="load", status="running")
    not_started = StepNotStarted(run=RUN.id, step="load", status="initializing")
    a_run().when(STARTED, start("load"), start("load")).then(running)
    a_run().when(STARTED, start("load"), SkipStep(run=REF, step="load", reason="no")).then(running)
    a_run().when(STARTED, complete("load")).then(not_started)
    a_run().when(STARTED, fail("load")).then(not_started)
    a_run().when(STARTED, *executed("load"), complete("load")).then(
        StepAlreadyEnded(run=RUN.id, step="load", status="completed")
    )


def test_a_step_that_is_not_in_the_run_gets_close_names() -> None:
    a_run().when(STARTED, start("lod")).then(UnknownStep(run=RUN.id, step="lod", known=["load"]))
    a_run().when(STARTED, start("zzz")).then(UnknownStep(run=RUN.id, step="zzz", known=["load", "train", "report"]))


# The tables.


def test_the_tables_know_every_event_and_every_status() -> None:
    kinds: tuple[type[Event], ...] = events.EVENTS
    transitions = set(kinds) - {events.RunCreated, events.RunStepsPlanned}
    assert set(BECOMES) == transitions
    assert set().union(*RUN_MAY.values()) == transitions
    assert {event for event in transitions if event.type.startswith("step.")} == set().union(*STEP_MAY.values())
    assert {BECOMES[event] for event in transitions if event.type.startswith("run.")} <= RUN_MAY.keys()
    assert {BECOMES[event] for event in transitions if event.type.startswith("step.")} <= STEP_MAY.keys()


def test_every_command_but_the_first_names_a_run() -> None:
    assert [command for command in COMMANDS if "run" not in command.__struct_fields__] == [CreateRun]
