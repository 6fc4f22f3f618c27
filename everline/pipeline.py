"""`@pipeline`: a function that connects steps. Calling it builds the graph, compiles it to a snapshot and runs it."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, cast, overload

from everline.errors import InvalidPipeline
from everline.graph import Graph, building, current_graph
from everline.names import checked_name

if TYPE_CHECKING:
    from everline.execution.results import PipelineRun

P = ParamSpec("P")
OnFailure = Literal["fail_fast", "continue"]


class Pipeline(Generic[P]):
    """A pipeline: call it to run it."""

    def __init__(
        self, function: Callable[P, Any], *, name: str | None, stack: str | None, on_failure: OnFailure
    ) -> None:
        self.function = function
        self.name = checked_name(name or function.__name__, what="a pipeline")
        self.stack = stack
        self.on_failure = on_failure
        self.run_name: str | None = None
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> PipelineRun:
        """Runs the pipeline in this process and answers the run; raises RunFailed (with `.run`) when a step failed.

        Inside another pipeline's function the steps become part of that pipeline.
        """
        graph = current_graph()
        if graph is not None:
            return cast("PipelineRun", self._inlined(graph, args, kwargs))
        return self.run(**self.parameters_of(*args, **kwargs))

    def run(self, **parameters: Any) -> PipelineRun:
        """As a call, with every parameter by name."""
        from everline.execution.engine import run_pipeline

        return run_pipeline(self, parameters)

    def with_options(
        self, *, stack: str | None = None, run_name: str | None = None, on_failure: OnFailure | None = None
    ) -> Pipeline[P]:
        """The same pipeline on another stack, with a name for the run, or with another answer to failing steps:
        `fail_fast` skips what has not started, `continue` skips only what depends on the failed step."""
        changed = copy.copy(self)
        changed.stack = stack or self.stack
        changed.run_name = None if run_name is None else checked_name(run_name, what="a run")
        changed.on_failure = on_failure or self.on_failure
        return changed

    def parameters_of(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The parameters of a call by name, defaults included. Raises InvalidPipeline when they do not fit."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidPipeline(f"pipeline {self.name!r}: {error}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def build(self, parameters: dict[str, Any]) -> Graph:
        """The graph for these parameters. Raises InvalidPipeline; nothing is run or sent."""
        graph = Graph(self.name)
        with building(graph):
            self._inlined(graph, (), parameters)
        if not graph.nodes:
            raise InvalidPipeline(
                f"pipeline {self.name!r} calls no steps", hint="call at least one @step function in it"
            )
        return graph

    def _inlined(self, graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls the function with its steps going to the graph. A pipeline that calls itself has no end."""
        if self.function in graph.open_pipelines:
            raise InvalidPipeline(f"pipeline {self.name!r} calls itself: its graph would be cyclic")
        graph.open_pipelines.append(self.function)
        try:
            return self.function(*args, **kwargs)
        finally:
            graph.open_pipelines.pop()

    @cached_property
    def signature(self) -> inspect.Signature:
        """The pipeline's parameters."""
        signature = inspect.signature(self.function)
        for parameter in signature.parameters.values():
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
                raise InvalidPipeline(
                    f"pipeline {self.name!r}: {parameter} cannot be recorded", hint="give every parameter a name"
                )
        return signature

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"


@overload
def pipeline(function: Callable[P, Any], /) -> Pipeline[P]: ...


@overload
def pipeline(
    *, name: str | None = None, stack: str | None = None, on_failure: OnFailure = "fail_fast"
) -> Callable[[Callable[P, Any]], Pipeline[P]]: ...


def pipeline(
    function: Callable[P, Any] | None = None,
    /,
    *,
    name: str | None = None,
    stack: str | None = None,
    on_failure: OnFailure = "fail_fast",
) -> Pipeline[P] | Callable[[Callable[P, Any]], Pipeline[P]]:
    """Makes a function that calls steps a pipeline: `@pipeline`, or `@pipeline(stack="gpu")`.

    The function only builds the graph: it sees handles, not values. Steps that do not depend on each other run in
    parallel. `run = digits(C=0.5)` runs it, with or without a server in reach.
    """

    def decorate(function: Callable[P, Any]) -> Pipeline[P]:
        return Pipeline(function, name=name, stack=stack, on_failure=on_failure)

    return decorate if function is None else decorate(function)
