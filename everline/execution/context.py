"""The step that is running in this thread: what `get_step_context`, `log_metadata` and others belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from everline.errors import NoStepRunning

if TYPE_CHECKING:
    from everline.execution.recording import Recorder


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """Where a step runs. `inputs` are the loaded values by argument, `input_ids` their artifact versions."""

    run_id: str
    run_name: str
    pipeline: str
    step: str
    attempt: int
    output_names: tuple[str, ...]
    inputs: Mapping[str, Any] = field(repr=False)
    input_ids: Mapping[str, str] = field(repr=False)
    recorder: Recorder = field(repr=False)
    after_outputs: list[Callable[[Mapping[str, str]], None]] = field(default_factory=list, repr=False)
    """What can only be recorded once the step's outputs have artifact versions: called with output name -> id."""

    def input_holding(self, value: object) -> str | None:
        """The artifact version of the input that this very object is."""
        for argument, loaded in self.inputs.items():
            if loaded is value and argument in self.input_ids:
                return self.input_ids[argument]
        return None


_current: ContextVar[StepContext | None] = ContextVar("everline_step", default=None)


def current_step() -> StepContext | None:
    """The step that is running, if any."""
    return _current.get()


def get_step_context() -> StepContext:
    """The step that is running: its run, name and attempt. Raises NoStepRunning outside of any."""
    context = _current.get()
    if context is None:
        raise NoStepRunning("no step is running here", hint="call this inside a step of a running pipeline")
    return context


@contextmanager
def step_context(context: StepContext) -> Iterator[None]:
    """The block belongs to this step."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
