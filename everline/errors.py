"""Everything Everline raises in a person's process. One root, `EverlineError`; each has a stable `code` and a `hint`.

The first group is what a server answered (RFC 9457 problems), the second is what was found out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from everline.execution.results import PipelineRun

RETRY_AFTER_SECONDS = 1.0
"""How long to wait before asking again, when the server does not say."""


class EverlineError(Exception):
    """What happened, `code` for programs, `hint` for what to do next."""

    code: str = "everline_error"
    status: int | None = None
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint or self.default_hint
        super().__init__(f"{message} ({self.hint})" if self.hint else message)

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return False

    @property
    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem: the server's, or one that says the same."""
        return {
            "type": f"urn:everline:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "hint": self.hint,
            "retryable": self.retryable,
        }


class Refused(EverlineError):
    """The server answered with a problem; `problem` has all of its fields."""

    def __init__(self, problem: Mapping[str, Any], *, retry_after: float | None = None) -> None:
        self._problem = dict(problem)
        self.code = str(problem.get("code") or "unexpected_answer")
        self.status = int(problem["status"]) if problem.get("status") else None
        self.retry_after = retry_after
        message = str(problem.get("detail") or problem.get("title") or self.code)
        super().__init__(message, hint=str(problem.get("hint") or ""))

    @property
    def retryable(self) -> bool:
        return bool(self._problem.get("retryable", False))

    @property
    def problem(self) -> dict[str, Any]:
        return dict(self._problem)


class NotFound(Refused):
    """There is no such entity, workspace, command or table."""


class Forbidden(Refused):
    """The actor lacks a permission; the problem names it."""


class Conflict(Refused):
    """The change does not fit what is there: a name is taken, a stage is held, a run has ended."""


class StaleRead(Refused):
    """`expected_version` is not the entity's version any more: read it again and decide again."""


class ValidationFailed(Refused):
    """The request is not understood: an unknown field, a wrong type, a value out of bounds."""


class Unavailable(Refused):
    """The server, or something it needs, is away. Nothing is wrong with the request; `retry_after` is in seconds."""

    @classmethod
    def unreachable(cls, url: str, why: Exception) -> Unavailable:
        """No answer at all."""
        return cls(
            {
                "type": "urn:everline:problem:server_unreachable",
                "title": "server unreachable",
                "code": "server_unreachable",
                "detail": f"no answer from {url}: {str(why) or type(why).__name__}",
                "hint": "is it running? start one with `everline up`",
                "retryable": True,
            },
            retry_after=RETRY_AFTER_SECONDS,
        )

    @property
    def retryable(self) -> bool:
        return True


class IntegrityError(EverlineError):
    """What is stored is not what was recorded."""

    code = "integrity_violated"


class ReadOnlyMoment(EverlineError):
    """A client of the past cannot change anything."""

    code = "read_only_moment"
    default_hint = "write with the client itself, not with client.as_of(...)"


class InvalidPipeline(EverlineError):
    """The pipeline cannot be compiled; nothing was sent."""

    code = "invalid_pipeline"


class InvalidParameter(EverlineError):
    """A parameter's value does not fit its annotation, or there is no such parameter."""

    code = "invalid_parameter"


class InvalidConfiguration(EverlineError):
    """The configuration file or an environment variable cannot be used."""

    code = "invalid_configuration"


class StackNotUsable(EverlineError):
    """The stack cannot execute a pipeline in this process."""

    code = "stack_not_usable"


class NoStepRunning(EverlineError):
    """Something that belongs to a step was asked for outside of any."""

    code = "no_step_running"


class OutputNotStorable(EverlineError):
    """A step returned something that cannot be stored: it fails that step."""

    code = "output_not_storable"


class ArtifactNotLoadable(EverlineError):
    """A stored value cannot be brought back into this process."""

    code = "artifact_not_loadable"


class RunFailed(EverlineError):
    """A run ended without completing; `run` is what is known of it, `__cause__` the step's own exception."""

    code = "run_failed"

    def __init__(self, run: PipelineRun) -> None:
        self.run = run
        failed = [step for step in run.steps.values() if step.failure is not None]
        where = f"step {failed[0].name!r}: " if failed else ""
        failure = failed[0].failure if failed else run.failure
        why = f"{failure.type}: {failure.message}" if failure else run.status
        super().__init__(f"run {run.name!r} failed in {where}{why}", hint=f"everline run logs {run.id}")


_BY_STATUS: Mapping[int, type[Refused]] = {
    400: ValidationFailed,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: StaleRead,
    413: ValidationFailed,
    422: ValidationFailed,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def refused(problem: Mapping[str, Any], *, retry_after: float | None = None) -> Refused:
    """The exception for a problem."""
    status = problem.get("status")
    kind = _BY_STATUS.get(status, Refused) if isinstance(status, int) else Refused
    if kind is Unavailable and retry_after is None:
        retry_after = RETRY_AFTER_SECONDS
    return kind(problem, retry_after=retry_after)
