"""A run of a snapshot on a stack, its steps and their attempts: one stream, so that every transition is decided
against the whole run."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from ledger.envelope import Event
from ledger.values import JsonObject

KIND = "run"


class StepPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the run needs to know of a step to decide its transitions."""

    name: str
    upstream: tuple[str, ...] = ()
    retries: int = 0


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something failed: the exception's type, its message and the end of its traceback."""

    type: str
    message: str
    traceback: str = ""


class RunCreated(Event, frozen=True):
    """Status `initializing`. The steps follow in `run.steps_planned`."""

    type: ClassVar[str] = "run.created"

    name: str
    snapshot_id: UUID
    pipeline_id: UUID
    stack_id: UUID
    step_count: int
    parameters: JsonObject = {}
    environment: JsonObject = {}
    cause: str = ""


class RunStepsPlanned(Event, frozen=True):
    """A bounded slice of the run's steps, in topological order."""

    type: ClassVar[str] = "run.steps_planned"

    steps: tuple[StepPlan, ...]


class RunProvisioned(Event, frozen=True):
    """Status `provisioning`: the orchestrator prepares what the run needs."""

    type: ClassVar[str] = "run.provisioned"


class RunQueued(Event, frozen=True):
    type: ClassVar[str] = "run.queued"

    reason: str = ""


class RunStarted(Event, frozen=True):
    type: ClassVar[str] = "run.started"


class RunCompleted(Event, frozen=True):
    type: ClassVar[str] = "run.completed"


class RunCached(Event, frozen=True):
    """Ended without executing anything: every step was answered from the cache. Status `cached`."""

    type: ClassVar[str] = "run.cached"


class RunFailed(Event, frozen=True):
    type: ClassVar[str] = "run.failed"

    failure: Failure


class RunStopRequested(Event, frozen=True):
    """Status `stopping`."""

    type: ClassVar[str] = "run.stop_requested"

    graceful: bool = True
    reason: str = ""


class RunStopped(Event, frozen=True):
    type: ClassVar[str] = "run.stopped"


class RunCancelRequested(Event, frozen=True):
    """Status `cancelling`."""

    type: ClassVar[str] = "run.cancel_requested"

    reason: str = ""


class RunCancelled(Event, frozen=True):
    type: ClassVar[str] = "run.cancelled"


class RunPaused(Event, frozen=True):
    type: ClassVar[str] = "run.paused"

    reason: str = ""


class RunResumed(Event, frozen=True):
    """Status `resuming` until a step starts."""

    type: ClassVar[str] = "run.resumed"


class StepQueued(Event, frozen=True):
    type: ClassVar[str] = "step.queued"

    step: str


class StepStarted(Event, frozen=True):
    """`attempt` counts from 1; `inputs` maps an argument to the artifact version that was loaded."""

    type: ClassVar[str] = "step.started"

    step: str
    attempt: int
    inputs: dict[str, UUID] = {}
    cache_key: str = ""
    logs_uri: str = ""


class StepCompleted(Event, frozen=True):
    """`outputs` maps an output's name to the artifact version that was stored."""

    type: ClassVar[str] = "step.completed"

    step: str
    attempt: int
    outputs: dict[str, UUID] = {}


class StepCached(Event, frozen=True):
    """Answered by the outputs of an earlier step run with the same cache key."""

    type: ClassVar[str] = "step.cached"

    step: str
    cache_key: str
    outputs: dict[str, UUID] = {}
    inputs: dict[str, UUID] = {}
    original_run_id: UUID | None = None


class StepFailed(Event, frozen=True):
    type: ClassVar[str] = "step.failed"

    step: str
    attempt: int
    failure: Failure


class StepRetrying(Event, frozen=True):
    """The attempt failed and another one follows: `attempt` is the one that failed."""

    type: ClassVar[str] = "step.retrying"

    step: str
    attempt: int
    failure: Failure


class StepSkipped(Event, frozen=True):
    type: ClassVar[str] = "step.skipped"

    step: str
    reason: str


class StepStopped(Event, frozen=True):
    type: ClassVar[str] = "step.stopped"

    step: str


EVENTS = (
    RunCreated,
    RunStepsPlanned,
    RunProvisioned,
    RunQueued,
    RunStarted,
    RunCompleted,
    RunCached,
    RunFailed,
    RunStopRequested,
    RunStopped,
    RunCancelRequested,
    RunCancelled,
    RunPaused,
    RunResumed,
    StepQueued,
    StepStarted,
    StepCompleted,
    StepCached,
    StepFailed,
    StepRetrying,
    StepSkipped,
    StepStopped,
)
