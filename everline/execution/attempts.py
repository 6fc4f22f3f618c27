"""One step of a run, in whatever thread: answered from the cache, or tried until it succeeds or has no retries left."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from everline.artifacts.storing import store_value
from everline.execution.caching import cache_key
from everline.execution.capture import StepLog, captured
from everline.execution.context import StepContext, step_context
from everline.execution.results import Failure, StoredOutput
from everline.ids import new_id

if TYPE_CHECKING:
    from types import TracebackType

    from everline.execution.engine import Execution
    from everline.graph import Node

LOGS = "logs"
VALUES = "values"


class Attempts:
    """Executes one node of a run; the outcome is in its StepRun."""

    def __init__(self, execution: Execution, node: Node) -> None:
        self._of = execution
        self._node = node
        self._run = execution.run.steps[node.name]
        self._parameters: Mapping[str, Any] = execution.specs[node.name]["parameters"]
        self._cache_key = ""

    def execute(self) -> None:
        """Runs the step. Raises nothing that the step raises."""
        try:
            inputs = {name: self._of.values.stored(output) for name, output in self._node.inputs.items()}
            if self._node.step.cache:
                hashes = {name: output.stored.content_hash for name, output in inputs.items()}
                self._cache_key = cache_key(self._node, self._parameters, hashes)
                if self._answered_from_cache(inputs):
                    return
            for attempt in range(1, self._node.step.retries + 2):
                if self._attempt(attempt, {name: output.id for name, output in inputs.items()}):
                    return
        finally:
            for output in self._node.inputs.values():
                self._of.values.consumed(output)

    def _answered_from_cache(self, inputs: Mapping[str, StoredOutput]) -> bool:
        hit = self._of.cached_steps.find(self._node, self._cache_key)
        if hit is None:
            return False
        self._of.recorder.step_cached(
            self._node.name,
            self._cache_key,
            inputs={name: output.id for name, output in inputs.items()},
            outputs={name: output.id for name, output in hit.outputs.items()},
            original_run=hit.original_run,
        )
        for output in hit.outputs.values():
            self._of.values.cached(self._node.name, output)
        self._run.outputs = dict(hit.outputs)
        self._run.status = "cached"
        return True

    def _attempt(self, attempt: int, input_ids: Mapping[str, str]) -> bool:
        """One attempt; whether it completed."""
        name, recorder = self._node.name, self._of.recorder
        logs = f"{LOGS}/{self._of.run.id}/{name}/{attempt}"
        self._run.attempt, self._run.status = attempt, "running"
        recorder.step_started(
            name, attempt, inputs=input_ids, cache_key=self._cache_key, logs_uri=self._of.store.uri(logs)
        )
        log = StepLog(name, lambda chunk, content: self._of.store.write(f"{logs}/{chunk}", content))
        try:
            with captured(log):
                outputs = self._call(attempt, input_ids)
        except BaseException as error:  # SystemExit and interrupts end a step like any exception
            self._failed(attempt, error)
            return False
        finally:
            if log.trouble is not None:
                self._of.warn(f"the log of step {name!r} is incomplete: {log.trouble}")
        self._run.outputs, self._run.status = outputs, "completed"
        recorder.step_completed(name, attempt, {name: output.id for name, output in outputs.items()})
        return True

    def _call(self, attempt: int, input_ids: Mapping[str, str]) -> dict[str, StoredOutput]:
        """Calls the function and stores what it returns, inside the step's log: what goes wrong is read there."""
        inputs = {name: self._of.values.value(output) for name, output in self._node.inputs.items()}
        context = StepContext(
            run_id=self._of.run.id,
            run_name=self._of.run.name,
            pipeline=self._of.run.pipeline,
            step=self._node.name,
            attempt=attempt,
            output_names=self._node.step.outputs.names,
            inputs=inputs,
            input_ids=input_ids,
            recorder=self._of.recorder,
        )
        try:
            with step_context(context):
                returned = self._node.step.function(**{**self._node.parameters, **inputs})
            outputs = self._store(self._node.step.outputs.values(returned))
        except BaseException:
            print_traceback(skipping=__file__)
            raise
        for record in context.after_outputs:
            record({name: output.id for name, output in outputs.items()})
        return outputs

    def _store(self, values: Mapping[str, Any]) -> dict[str, StoredOutput]:
        stored = {name: self._store_one(name, value) for name, value in values.items()}
        for name, output in stored.items():
            self._of.recorder.artifact_stored(
                output.id, output.artifact, output.stored, step=self._node.name, output=name
            )
            self._of.values.produced(self._node.name, output, values[name])
        return stored

    def _store_one(self, name: str, value: Any) -> StoredOutput:
        step = self._node.step
        artifact = name if name in step.outputs.named else f"{self._of.run.pipeline}.{self._node.name}.{name}"
        version_id = new_id()
        place = f"{VALUES}/{artifact}/{version_id}"
        stored = store_value(value, self._of.store, key_in_store=place, what=f"output {name!r}")
        return StoredOutput(name, artifact, version_id, stored, self._of.stack.store)

    def _failed(self, attempt: int, error: BaseException) -> None:
        failure = failure_of(error)
        self._of.recorder.step_failed(self._node.name, attempt, failure)
        self._run.failure, self._run.exception = failure, error
        self._run.status = "failed" if attempt > self._node.step.retries else "retrying"


def failure_of(error: BaseException) -> Failure:
    """What is recorded of an exception: its traceback begins where the person's code does."""
    lines = traceback.format_exception(type(error), error, _frames_after(error.__traceback__, __file__))
    return Failure(type(error).__name__, str(error), "".join(lines))


def print_traceback(*, skipping: str) -> None:
    """Writes the exception that is handled to standard error, without our own frames."""
    kind, error, trace = sys.exc_info()
    traceback.print_exception(kind, error, _frames_after(trace, skipping))


def _frames_after(trace: TracebackType | None, path: str) -> TracebackType | None:
    """The traceback below the last frame of a file, or all of it if there is nothing below."""
    while trace is not None and trace.tb_frame.f_code.co_filename == path and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
