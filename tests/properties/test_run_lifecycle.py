"""Whatever is asked of a run, in whatever order: it never reaches a state that cannot be, and no event breaks it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from commands.command import Command, Rejection
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
    StopRun,
    StopStep,
)
from commands.run_rejections import RunAlreadyEnded
from ledger.envelope import Event
from ledger.events import run as events
from ledger.events.run import Failure, StepPlan
from tests.support import first_events as first
from tests.support.deciding import World, given, stream

RUN = stream("run", "r")
REF = str(RUN.id)
BOOM = Failure("ValueError", "boom")
STEPS = ("a", "b", "c", "d")
ENDED = {"completed", "cached", "failed", "stopped", "cancelled"}
STEP_ENDED = {"completed", "cached", "failed", "skipped", "stopped"}
SUCCESSFUL = {"completed", "cached", "skipped"}

RUN_COMMANDS: tuple[Command, ...] = (
    ProvisionRun(run=REF),
    QueueRun(run=REF),
    StartRun(run=REF),
    CompleteRun(run=REF),
    FailRun(run=REF, failure=BOOM),
    StopRun(run=REF),
    ConfirmRunStopped(run=REF),
    CancelRun(run=REF),
    ConfirmRunCancelled(run=REF),
    PauseRun(run=REF),
    ResumeRun(run=REF),
)


def step_commands(step: str, attempt: int) -> tuple[Command, ...]:
    return (
        QueueStep(run=REF, step=step),
        StartStep(run=REF, step=step, attempt=attempt),
        CompleteStep(run=REF, step=step, attempt=attempt),
        FailStep(run=REF, step=step, attempt=attempt, failure=BOOM),
        CacheStep(run=REF, step=step, cache_key="k"),
        SkipStep(run=REF, step=step, reason="no"),
        StopStep(run=REF, step=step),
    )


@st.composite
def graphs(draw: st.DrawFn) -> tuple[StepPlan, ...]:
    """Up to four steps, each after some of the ones before it."""
    names = STEPS[: draw(st.integers(1, len(STEPS)))]
    return tuple(
        StepPlan(
            name,
            upstream=tuple(draw(st.lists(st.sampled_from(names[:at]), unique=True, max_size=2))) if at else (),
            retries=draw(st.integers(0, 2)),
        )
        for at, name in enumerate(names)
    )


class RunMachine(RuleBasedStateMachine):
    """Asks anything of a run and keeps its own log of what was accepted."""

    world: World
    plans: tuple[StepPlan, ...]
    log: list[Event]

    @initialize(plans=graphs(), started=st.booleans())
    def begin(self, plans: tuple[StepPlan, ...], started: bool) -> None:
        self.plans = plans
        self.world = given(*first.run("r", *plans))
        self.log = []
        if started:
            self.ask(StartRun(run=REF))

    def ask(self, command: Command) -> None:
        before = self.state
        decision = self.world.submit(command)
        if isinstance(decision, Rejection):
            assert decision.message()
            assert self.state == before
            return
        assert len(decision) == 1, "a run's command is one event or a refusal"
        assert before.status not in ENDED
        event: Any = decision[0].event
        if event.type.startswith("step."):
            assert before.steps[event.step].status not in STEP_ENDED
        self.log.append(event)

    @property
    def state(self) -> Any:
        return self.world.state(RUN)

    @rule(command=st.sampled_from(RUN_COMMANDS))
    def ask_of_the_run(self, command: Command) -> None:
        self.ask(command)

    @rule(data=st.data())
    def ask_of_a_step(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from([*(plan.name for plan in self.plans), "nowhere"]))
        self.ask(data.draw(st.sampled_from(step_commands(step, data.draw(st.integers(1, 4))))))

    @rule(data=st.data())
    def ask_what_is_likely(self, data: st.DataObject) -> None:
        """The next attempt, or the end of the current one: most random sequences would get nowhere."""
        step = data.draw(st.sampled_from(self.plans)).name
        known = self.state.steps[step]
        running = known.status == "running"
        commands = step_commands(step, known.attempt if running else known.attempt + 1)
        self.ask(data.draw(st.sampled_from(commands[2:4] if running else commands[:2])))

    @precondition(lambda self: self.state.status not in ENDED)
    @rule()
    def finish(self) -> None:
        """Every step that can goes to its end; then the run does."""
        for plan in self.plans:
            known = self.state.steps[plan.name]
            if known.status == "running":
                self.ask(CompleteStep(run=REF, step=plan.name, attempt=known.attempt))
            self.ask(SkipStep(run=REF, step=plan.name, reason="done"))
        self.ask(CompleteRun(run=REF))

    @invariant()
    def an_ended_run_stays_ended(self) -> None:
        ends = [event for event in self.log if event.type.removeprefix("run.") in ENDED]
        assert len(ends) <= 1
        if ends:
            assert self.log[-1] is ends[0]
            assert self.state.status == ends[0].type.removeprefix("run.")
            assert self.world.submit(StartRun(run=REF)) == RunAlreadyEnded(run=RUN.id, status=self.state.status)

    @invariant()
    def a_completed_run_has_only_finished_steps(self) -> None:
        statuses = {step.status for step in self.state.steps.values()}
        if self.state.status == "completed":
            assert statuses <= SUCCESSFUL
        if self.state.status == "cached":
            assert statuses == {"cached"}
        if self.state.status in ENDED:
            assert "running" not in statuses

    @invariant()
    def attempts_count_up_to_the_retries(self) -> None:
        started = Counter[str]()
        for event in self.log:
            match event:
                case events.StepStarted():
                    started[event.step] += 1
                    assert event.attempt == started[event.step]
                case events.StepCompleted() | events.StepFailed() | events.StepRetrying():
                    assert event.attempt == started[event.step]
                case _:
                    pass
        assert all(started[plan.name] <= plan.retries + 1 for plan in self.plans)

    @invariant()
    def a_step_begins_after_its_upstream_and_only_in_a_running_run(self) -> None:
        successful: set[str] = set()
        stopping = paused = False
        for event in self.log:
            match event:
                case events.StepStarted() | events.StepQueued() | events.StepCached():
                    upstream = next(plan.upstream for plan in self.plans if plan.name == event.step)
                    assert successful >= set(upstream)
                    assert not stopping
                    assert not paused
                case events.RunStopRequested() | events.RunCancelRequested():
                    stopping = True
                case events.RunPaused() | events.RunResumed():
                    paused = isinstance(event, events.RunPaused)
                case _:
                    pass
            if isinstance(event, events.StepCompleted | events.StepCached | events.StepSkipped):
                successful.add(event.step)


RunMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestRunLifecycle = RunMachine.TestCase
