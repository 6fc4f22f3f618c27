"""Every reason to refuse a transition of a run or of one of its steps. See `rejections.py` for the others."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from commands.command import Rejection


class RunRefusal(Rejection, frozen=True, kw_only=True):
    """A run is not in a status that allows what was asked."""

    run: UUID
    status: str


class RunAlreadyEnded(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_already_ended"

    def message(self) -> str:
        return f"run {self.run} has ended as {self.status}"


class RunAlreadyStarted(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_already_started"

    def message(self) -> str:
        return f"run {self.run} is {self.status} already"


class RunNotRunning(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_not_running"

    def message(self) -> str:
        return f"run {self.run} is {self.status}, not running"


class RunNotPausable(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_not_pausable"

    def message(self) -> str:
        return f"run {self.run} is {self.status}; only a running run can be paused"


class RunNotPaused(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_not_paused"

    def message(self) -> str:
        return f"run {self.run} is {self.status}, not paused, so it cannot be resumed"


class RunAlreadyStopping(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_already_stopping"

    def message(self) -> str:
        return f"run {self.run} is {self.status} already"


class RunNotStopping(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_not_stopping"

    def message(self) -> str:
        return f"run {self.run} is {self.status}; nobody asked it to stop"


class RunNotCancelling(RunRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "run_not_cancelling"

    def message(self) -> str:
        return f"run {self.run} is {self.status}; nobody asked to cancel it"


class StepsNotFinished(Rejection, frozen=True, kw_only=True):
    """`steps` names the first of them, `count` tells how many there are."""

    code: ClassVar[str] = "steps_not_finished"
    run: UUID
    steps: list[str]
    count: int

    def message(self) -> str:
        return f"run {self.run} cannot end yet, some of its steps did not: {_listed(self.steps, self.count)}"


class StepsNotSuccessful(Rejection, frozen=True, kw_only=True):
    """A run completes only if no step failed or was stopped. `steps` names the first of those that did."""

    code: ClassVar[str] = "steps_not_successful"
    run: UUID
    steps: list[str]
    count: int

    def message(self) -> str:
        return f"run {self.run} cannot complete, steps failed or were stopped: {_listed(self.steps, self.count)}"

    def hint(self) -> str:
        return "fail the run, or stop it"


class UnknownStep(Rejection, frozen=True, kw_only=True):
    """`known` names the steps with the closest names; if none is close, the first ones."""

    code: ClassVar[str] = "unknown_step"
    run: UUID
    step: str
    known: list[str]

    def message(self) -> str:
        return f"run {self.run} has no step {self.step!r}"

    def hint(self) -> str:
        return "it has " + ", ".join(self.known)


class StepRefusal(Rejection, frozen=True, kw_only=True):
    """A step is not in a status that allows what was asked."""

    run: UUID
    step: str
    status: str


class StepAlreadyEnded(StepRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "step_already_ended"

    def message(self) -> str:
        return f"step {self.step!r} of run {self.run} has ended as {self.status}"


class StepAlreadyStarted(StepRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "step_already_started"

    def message(self) -> str:
        return f"step {self.step!r} of run {self.run} is {self.status} already"


class StepNotStarted(StepRefusal, frozen=True, kw_only=True):
    code: ClassVar[str] = "step_not_started"

    def message(self) -> str:
        return f"step {self.step!r} of run {self.run} is {self.status}, no attempt of it is running"

    def hint(self) -> str:
        return "start the step first"


class UpstreamNotFinished(Rejection, frozen=True, kw_only=True):
    """`waiting_for` names the first of them, `count` tells how many there are."""

    code: ClassVar[str] = "upstream_not_finished"
    run: UUID
    step: str
    waiting_for: list[str]
    count: int

    def message(self) -> str:
        return (
            f"step {self.step!r} of run {self.run} comes after steps that did not finish: "
            f"{_listed(self.waiting_for, self.count)}"
        )


class WrongAttempt(Rejection, frozen=True, kw_only=True):
    """Another attempt of the step is the current one: what speaks here is outdated, or ahead of itself."""

    code: ClassVar[str] = "wrong_attempt"
    run: UUID
    step: str
    attempt: int
    expected: int

    def message(self) -> str:
        return f"attempt {self.attempt} of step {self.step!r} in run {self.run}: it is attempt {self.expected}'s turn"


def _listed(names: list[str], count: int) -> str:
    """The names, and how many more there are."""
    rest = f" and {count - len(names)} more" if count > len(names) else ""
    return ", ".join(names) + rest
