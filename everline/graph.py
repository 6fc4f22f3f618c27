"""The graph that a pipeline function builds by calling steps: nodes in topological order, and handles on their outputs.

A handle only exists after its node, so a graph has no cycles; what could still be wrong is refused here.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from everline.errors import InvalidPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from everline.step import Step

STEPS_MAX = 2_000


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a step. `inputs` are arguments that other steps produce, `parameters` all others."""

    graph: Graph
    name: str
    step: Step[Any, Any]
    inputs: Mapping[str, Output]
    parameters: Mapping[str, Any]
    upstream: tuple[str, ...]

    def __iter__(self) -> Iterator[Any]:
        raise InvalidPipeline(f"step {self.name!r} has no outputs to unpack")


@dataclass(frozen=True, eq=False)
class Output:
    """What a step will produce. It has no value while the pipeline is built: pass it to another step."""

    node: Node
    name: str

    def __iter__(self) -> Iterator[Any]:
        raise InvalidPipeline(
            f"step {self.node.name!r} has one output and cannot be unpacked",
            hint='annotate several: -> tuple[Annotated[int, "a"], Annotated[int, "b"]]',
        )

    def __bool__(self) -> bool:
        raise InvalidPipeline(
            f"output {self.name!r} of step {self.node.name!r} has no value while the pipeline is built",
            hint="decide inside a step",
        )


@dataclass
class Graph:
    """The nodes of one pipeline, in the order of the calls; `open_pipelines` are the functions that are running."""

    pipeline: str
    nodes: dict[str, Node] = field(default_factory=dict)
    open_pipelines: list[Any] = field(default_factory=list)

    def add(self, step: Step[Any, Any], arguments: Mapping[str, Any], after: Any) -> Any:
        """A node for a call; answers the handle, or the tuple of handles, that stands for what the step returns."""
        if len(self.nodes) >= STEPS_MAX:
            raise InvalidPipeline(f"pipeline {self.pipeline!r} has more than {STEPS_MAX} steps")
        name = self._free_name(step.name)
        inputs = {argument: value for argument, value in arguments.items() if isinstance(value, Output)}
        upstream = [output.node for output in inputs.values()] + _nodes_in(after, step=name)
        for node in upstream:
            if node.graph is not self:
                raise InvalidPipeline(f"step {name!r} uses {node.name!r} of another pipeline, {node.graph.pipeline!r}")
        parameters = {argument: value for argument, value in arguments.items() if argument not in inputs}
        node = Node(self, name, step, inputs, parameters, tuple(dict.fromkeys(each.name for each in upstream)))
        self.nodes[name] = node
        return node if not step.outputs else step.outputs.handles(node)

    def _free_name(self, name: str) -> str:
        """The name, or `name_2`, `name_3`, ... when it is called more than once."""
        free, count = name, 1
        while free in self.nodes:
            count += 1
            free = f"{name}_{count}"
        return free


_building: ContextVar[Graph | None] = ContextVar("everline_graph", default=None)


def current_graph() -> Graph | None:
    """The graph that is being built, if a pipeline function is running."""
    return _building.get()


@contextmanager
def building(graph: Graph | None) -> Iterator[None]:
    """Step calls add nodes to this graph; with None they execute."""
    token = _building.set(graph)
    try:
        yield
    finally:
        _building.reset(token)


def _nodes_in(after: Any, *, step: str) -> list[Node]:
    """The steps that `after=` names."""
    match after:
        case None:
            return []
        case Node():
            return [after]
        case Output():
            return [after.node]
        case list() | tuple():
            return [node for each in after for node in _nodes_in(each, step=step)]
        case _:
            raise InvalidPipeline(
                f"step {step!r}: after={after!r} is not what a step call returned", hint="after=[loaded, checked]"
            )
