"""A run without a pipeline: `with everline.start_run("x") as run:` around a script or some cells of a notebook."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from everline import config, sending
from everline.artifacts.storing import store_value
from everline.execution.attempts import VALUES, failure_of
from everline.execution.compiling import recorded, snapshot
from everline.execution.context import StepContext, step_context
from everline.execution.engine import run_name, usable_store
from everline.execution.recording import Recorder
from everline.execution.results import PipelineRun, StepRun, StoredOutput
from everline.execution.stacks import LocalStack, resolve_stack
from everline.ids import new_id
from everline.metadata import metadata_key
from everline.names import checked_name
from everline.values import jsonable

STEP = "main"


class TrackedRun:
    """A run that a script tells about by itself. Nothing here waits for the server."""

    def __init__(self, run: PipelineRun, stack: LocalStack, recorder: Recorder) -> None:
        self._run = run
        self._stack = stack
        self._store = usable_store(stack)
        self._recorder = recorder

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run.id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run.name

    @property
    def status(self) -> str:
        """`running`, then `completed` or `failed`."""
        return self._run.status

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Notes what the script was run with, as metadata `param.<name>`."""
        values = {metadata_key(f"param.{name}"): jsonable(value) for name, value in parameters.items()}
        self._recorder.metadata(values, step=STEP)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Notes numbers; with `step` they are points of curves."""
        values = {metadata_key(name): jsonable(value) for name, value in metrics.items()}
        self._recorder.metadata(values, step=STEP, step_index=step)

    def log_artifact(self, name: str, value: Any) -> StoredOutput:
        """Stores a value as a new version of an artifact. Raises OutputNotStorable."""
        checked_name(name, what="an artifact")
        version_id = new_id()
        place = f"{VALUES}/{name}/{version_id}"
        stored = store_value(value, self._store, key_in_store=place, what=f"artifact {name!r}")
        output = StoredOutput(name, name, version_id, stored, self._stack.store)
        self._recorder.artifact_stored(version_id, name, stored, step=STEP, output=name, save_type="manual")
        self._run.steps[STEP].outputs[name] = output
        return output


@contextmanager
def start_run(
    name: str, *, params: Mapping[str, Any] | None = None, stack: str | None = None, run_name: str | None = None
) -> Iterator[TrackedRun]:
    """A run of `name` (a pipeline with the one step `main`) that lasts as long as the block.

    An exception fails the run and goes on. Inside, `log_metadata` and `register_model_version` belong to it.
    """
    checked_name(name, what="a pipeline")
    target = config.resolve()
    chosen = resolve_stack(target, stack)
    parameters = recorded(params or {}, what=f"run {name!r}")
    outbox = sending.outbox_for(target)
    run = PipelineRun(new_id(), _name(name, run_name), name, {STEP: StepRun(STEP, "running", attempt=1)})
    recorder = Recorder(outbox, chosen, run.id)
    tracked = TrackedRun(run, chosen, recorder)
    recorder.created(run.name, snapshot(name, (_spec(_caller()),), parameters))
    recorder.step_started(STEP, 1, inputs={}, cache_key="", logs_uri="")
    try:
        with step_context(_context(run, recorder)):
            yield tracked
    except BaseException as error:
        failure = failure_of(error)
        run.status, run.failure = "failed", failure
        recorder.step_failed(STEP, 1, failure)
        recorder.failed(failure)
        raise
    else:
        run.status = run.steps[STEP].status = "completed"
        recorder.step_completed(STEP, 1, {key: output.id for key, output in run.steps[STEP].outputs.items()})
        recorder.completed()
    finally:
        outbox.flush()


def _name(pipeline: str, chosen: str | None) -> str:
    return run_name(pipeline) if chosen is None else checked_name(chosen, what="a run")


def _context(run: PipelineRun, recorder: Recorder) -> StepContext:
    return StepContext(
        run_id=run.id,
        run_name=run.name,
        pipeline=run.pipeline,
        step=STEP,
        attempt=1,
        output_names=(),
        inputs={},
        input_ids={},
        recorder=recorder,
    )


def _caller() -> str:
    """The file of the script, or `<stdin>`."""
    return next((frame.filename for frame in inspect.stack(context=0)[2:] if "contextlib" not in frame.filename), "?")


def _spec(source: str) -> dict[str, Any]:
    """The one step, with the script's text as its code."""
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - may be no path at all
            code = file.read()
    except OSError:
        code = source.encode()
    digest = hashlib.sha256(code).hexdigest()
    return {"name": STEP, "source": source, "code_digest": digest, "cache": False}
