"""What can be asked of a run and of its steps."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from commands.command import Command
from commands.fields import JsonFields, Name, Ref, Text
from ledger.events.run import Failure

ARGUMENTS_MAX = 500
CAUSE_LENGTH_MAX = 500
CACHE_KEY_LENGTH_MAX = 200
LOGS_URI_LENGTH_MAX = 2_000

Attempt = Annotated[int, Meta(ge=1, description="counts from 1 within its step")]
ArtifactVersions = Annotated[
    dict[Name, Ref], Meta(max_length=ARGUMENTS_MAX, description="argument or output -> id of the artifact version")
]
Cause = Annotated[str, Meta(max_length=CAUSE_LENGTH_MAX, description="what asked for the run; makes one run only")]


class CreateRun(Command, frozen=True, kw_only=True):
    """`cause` names what asked for the run, such as a schedule's tick: a second run for the same cause is refused."""

    permission: ClassVar[str] = "run:create"

    id: UUID | None = None
    name: Name
    snapshot: Ref
    stack: Ref
    parameters: JsonFields = {}
    environment: JsonFields = {}
    cause: Cause = ""


class ProvisionRun(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "run:update"

    run: Ref


class QueueRun(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "run:update"

    run: Ref
    reason: Text = ""


class StartRun(Command, frozen=True, kw_only=True):
    """Steps can start from here on."""

    permission: ClassVar[str] = "run:update"

    run: Ref


class CompleteRun(Command, frozen=True, kw_only=True):
    """Every step completed, was cached or skipped. If all of them were cached, so is the run."""

    permission: ClassVar[str] = "run:update"

    run: Ref


class FailRun(Command, frozen=True, kw_only=True):
    """No step is running any more. Steps that never started stay as they are."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    failure: Failure


class StopRun(Command, frozen=True, kw_only=True):
    """Asks that no further step starts; without `graceful` the running ones are ended too."""

    permission: ClassVar[str] = "run:stop"

    run: Ref
    graceful: bool = True
    reason: Text = ""


class ConfirmRunStopped(Command, frozen=True, kw_only=True):
    """Nothing of the run is running any more."""

    permission: ClassVar[str] = "run:update"

    run: Ref


class CancelRun(Command, frozen=True, kw_only=True):
    """Asks that everything of the run ends at once, also while it is stopping."""

    permission: ClassVar[str] = "run:stop"

    run: Ref
    reason: Text = ""


class ConfirmRunCancelled(Command, frozen=True, kw_only=True):
    """Nothing of the run is running any more."""

    permission: ClassVar[str] = "run:update"

    run: Ref


class PauseRun(Command, frozen=True, kw_only=True):
    """No further step starts until the run is resumed; the running ones go on."""

    permission: ClassVar[str] = "run:pause"

    run: Ref
    reason: Text = ""


class ResumeRun(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "run:pause"

    run: Ref


class QueueStep(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name


class StartStep(Command, frozen=True, kw_only=True):
    """Starts an attempt of a step whose upstream steps are finished."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name
    attempt: Attempt
    inputs: ArtifactVersions = {}
    cache_key: Annotated[str, Meta(max_length=CACHE_KEY_LENGTH_MAX)] = ""
    logs_uri: Annotated[str, Meta(max_length=LOGS_URI_LENGTH_MAX)] = ""


class CompleteStep(Command, frozen=True, kw_only=True):
    """`attempt` fences: an attempt that was given up cannot complete the step."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name
    attempt: Attempt
    outputs: ArtifactVersions = {}


class CacheStep(Command, frozen=True, kw_only=True):
    """Answers a step with the outputs of an earlier run's step that had the same cache key."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name
    cache_key: Annotated[str, Meta(min_length=1, max_length=CACHE_KEY_LENGTH_MAX)]
    inputs: ArtifactVersions = {}
    outputs: ArtifactVersions = {}
    original_run: Ref | None = None


class FailStep(Command, frozen=True, kw_only=True):
    """An attempt failed. The step is tried again while it has retries left and the run goes on."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name
    attempt: Attempt
    failure: Failure


class SkipStep(Command, frozen=True, kw_only=True):
    """The step will not be executed in this run."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name
    reason: Annotated[Text, Meta(min_length=1)]


class StopStep(Command, frozen=True, kw_only=True):
    """The step was ended from outside, or will not start because the run stops."""

    permission: ClassVar[str] = "run:update"

    run: Ref
    step: Name


COMMANDS = (
    CreateRun,
    ProvisionRun,
    QueueRun,
    StartRun,
    CompleteRun,
    FailRun,
    StopRun,
    ConfirmRunStopped,
    CancelRun,
    ConfirmRunCancelled,
    PauseRun,
    ResumeRun,
    QueueStep,
    StartStep,
    CompleteStep,
    CacheStep,
    FailStep,
    SkipStep,
    StopStep,
)
StepCommand = QueueStep | StartStep | CompleteStep | CacheStep | FailStep | SkipStep | StopStep
TransitionCommand = (
    ProvisionRun
    | QueueRun
    | StartRun
    | CompleteRun
    | FailRun
    | StopRun
    | ConfirmRunStopped
    | CancelRun
    | ConfirmRunCancelled
    | PauseRun
    | ResumeRun
    | StepCommand
)
RunCommand = CreateRun | TransitionCommand
