"""Runs a graph in this process: steps whose inputs are there run side by side in threads, each step told to the ledger.

The order of events is the order of the graph; a failed step leaves the rest skipped, never half done.
"""

from __future__ import annotations

import contextvars
import secrets
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from everline import config, sending
from everline.artifacts.store import open_store
from everline.errors import RunFailed, StackNotUsable
from everline.execution.attempts import Attempts, failure_of
from everline.execution.caching import CachedSteps
from everline.execution.capture import capturing
from everline.execution.compiling import Snapshot, compiled
from everline.execution.recording import Recorder
from everline.execution.results import Failure, PipelineRun, StepRun
from everline.execution.stacks import LocalStack, resolve_stack
from everline.execution.values import Values
from everline.graph import Node, building
from everline.ids import new_id

if TYPE_CHECKING:
    from everline.artifacts.store import Store
    from everline.config import Target
    from everline.graph import Graph
    from everline.pipeline import OnFailure, Pipeline
    from everline.sending import Outbox

SUCCESSFUL = frozenset({"completed", "cached"})
WAITING = "initializing"


def run_pipeline(pipeline: Pipeline[Any], parameters: Mapping[str, Any]) -> PipelineRun:
    """Builds, compiles and executes; answers the completed run, raises RunFailed from the step's own exception.

    What is wrong with the pipeline or the stack is raised before anything is sent. A server that is away stops
    nothing: what happened is kept and sent later.
    """
    target = config.resolve()
    checked = pipeline.parameters_of(**parameters)
    graph = pipeline.build(checked)
    snapshot = compiled(graph, checked)
    stack = resolve_stack(target, pipeline.stack)
    outbox = sending.outbox_for(target)
    run = PipelineRun(
        id=new_id(),
        name=pipeline.run_name or run_name(pipeline.name),
        pipeline=pipeline.name,
        steps={name: StepRun(name) for name in graph.nodes},
    )
    execution = Execution(graph, snapshot, run=run, stack=stack, target=target, outbox=outbox)
    execution.execute(pipeline.on_failure)
    outbox.flush()
    if run.status == "failed":
        failed = next((step.exception for step in run.steps.values() if step.exception is not None), None)
        raise RunFailed(run) from failed
    return run


class Execution:
    """One run: what its steps share."""

    def __init__(
        self, graph: Graph, snapshot: Snapshot, *, run: PipelineRun, stack: LocalStack, target: Target, outbox: Outbox
    ) -> None:
        self.run = run
        self.stack = stack
        self.store = usable_store(stack)
        self.recorder = Recorder(outbox, stack, run.id)
        self.values = Values(graph)
        self.specs = {spec["name"]: spec for spec in snapshot.steps}
        self.cached_steps = CachedSteps(target, stack)
        self.warn = sending.warn
        self._snapshot = snapshot
        self._graph = graph

    def execute(self, on_failure: OnFailure) -> None:
        """Runs the steps and tells how the run ended. An interrupt, or a defect of ours, fails the run and is raised
        again."""
        self.recorder.created(self.run.name, self._snapshot)
        try:
            with capturing(), building(None):
                self._execute_steps(on_failure)
        except BaseException as interruption:
            self._skip_waiting("the run was interrupted")
            self._fail(failure_of(interruption))
            raise
        finally:
            self.cached_steps.close()
        self._end()

    def _execute_steps(self, on_failure: OnFailure) -> None:
        """Starts what is ready until nothing runs. A step that has nothing beside it runs in the caller's thread:
        debuggers and plots work as in a plain function."""
        running: dict[Future[None], Node] = {}
        with ThreadPoolExecutor(self.stack.parallelism_max, thread_name_prefix="everline-step") as threads:
            while True:
                self._skip_what_cannot_run(on_failure)
                ready = self._ready(running)
                if len(ready) == 1 and not running:
                    self._execute_alone(ready[0])
                    continue
                for node in ready:
                    context = contextvars.copy_context()
                    running[threads.submit(context.run, Attempts(self, node).execute)] = node
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    future.result()

    def _execute_alone(self, node: Node) -> None:
        Attempts(self, node).execute()
        exception = self.run.steps[node.name].exception
        if isinstance(exception, KeyboardInterrupt):
            raise exception

    def _ready(self, running: Mapping[Future[None], Node]) -> list[Node]:
        """The steps that may start now, as many as there is room for."""
        busy = {node.name for node in running.values()}
        waiting = [node for node in self._waiting() if node.name not in busy]
        ready = [node for node in waiting if all(self._status(name) in SUCCESSFUL for name in node.upstream)]
        return ready[: self.stack.parallelism_max - len(busy)]

    def _skip_what_cannot_run(self, on_failure: OnFailure) -> None:
        """After a failure: everything that has not started, or with `continue` what depends on it."""
        failed = [step.name for step in self.run.steps.values() if step.status == "failed"]
        if failed and on_failure == "fail_fast":
            self._skip_waiting(f"step {failed[0]!r} failed")
        for node in self._waiting():
            lost = [name for name in node.upstream if self._status(name) in {"failed", "skipped"}]
            if lost:
                self._skip(node.name, f"upstream step {lost[0]!r} {self._status(lost[0])}")

    def _skip_waiting(self, reason: str) -> None:
        for node in self._waiting():
            self._skip(node.name, reason)

    def _skip(self, step: str, reason: str) -> None:
        self.run.steps[step].status, self.run.steps[step].reason = "skipped", reason
        self.recorder.step_skipped(step, reason)

    def _waiting(self) -> list[Node]:
        return [node for node in self._graph.nodes.values() if self._status(node.name) == WAITING]

    def _status(self, step: str) -> str:
        return self.run.steps[step].status

    def _end(self) -> None:
        failed = [step for step in self.run.steps.values() if step.failure is not None and step.status == "failed"]
        if failed and failed[0].failure is not None:
            self._fail(failed[0].failure)
            return
        self.run.status = "cached" if all(s.status == "cached" for s in self.run.steps.values()) else "completed"
        self.recorder.completed()

    def _fail(self, failure: Failure) -> None:
        self.run.status, self.run.failure = "failed", failure
        self.recorder.failed(failure)


def usable_store(stack: LocalStack) -> Store:
    """The stack's artifact store. Raises StackNotUsable when its driver is not installed or is set up wrongly."""
    try:
        return open_store(stack.store)
    except (ImportError, KeyError, ValueError) as error:
        raise StackNotUsable(
            f"the artifact store of stack {stack.name!r} cannot be used: {error}",
            hint="for s3:// install everline[s3]",
        ) from error


def run_name(pipeline: str) -> str:
    """A name that people can tell apart: the pipeline, the time (UTC), and a few letters against collisions."""
    return f"{pipeline[:160]}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
