"""From a graph to a snapshot: the same code and parameters always give the same digest, and so the same id."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from everline.errors import InvalidPipeline
from everline.ids import derived_id
from everline.values import jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everline.graph import Graph, Node

DOCSTRING_LENGTH_MAX = 2_000
PARAMETERS_BYTES_MAX = 32_768
"""An event holds at most 64 KiB; what is larger is data and belongs into an artifact."""


@dataclass(frozen=True)
class Snapshot:
    """A compiled pipeline. `steps` are the specs in topological order, as the ledger keeps them."""

    id: str
    pipeline: str
    digest: str
    steps: tuple[Mapping[str, Any], ...]
    parameters: Mapping[str, Any]
    environment: Mapping[str, str]

    def command(self) -> dict[str, Any]:
        """The body of `create-snapshot`."""
        return {
            "id": self.id,
            "pipeline": self.pipeline,
            "digest": self.digest,
            "steps": self.steps,
            "parameters": self.parameters,
            "environment": self.environment,
        }


def compiled(graph: Graph, parameters: Mapping[str, Any]) -> Snapshot:
    """The snapshot of a graph. Raises InvalidPipeline for parameters that cannot be recorded."""
    steps = tuple(step_spec(node) for node in graph.nodes.values())
    return snapshot(graph.pipeline, steps, recorded(parameters, what=f"pipeline {graph.pipeline!r}"))


def snapshot(pipeline: str, steps: tuple[Mapping[str, Any], ...], parameters: Mapping[str, Any]) -> Snapshot:
    """A snapshot with its digest: SHA-256 of the canonical JSON of everything that it holds."""
    environment = {"python": platform.python_version(), "platform": sys.platform, "machine": platform.machine()}
    content = {"pipeline": pipeline, "steps": steps, "parameters": parameters, "environment": environment}
    digest = hashlib.sha256(canonical(content)).hexdigest()
    return Snapshot(derived_id("snapshot", pipeline, digest), pipeline, digest, steps, parameters, environment)


def step_spec(node: Node) -> dict[str, Any]:
    """One step as the ledger keeps it."""
    step = node.step
    doc = inspect.getdoc(step.function) or ""
    return {
        "name": node.name,
        "source": step.source,
        "code_digest": step.code_digest,
        "upstream": list(node.upstream),
        "inputs": {name: {"step": output.node.name, "output": output.name} for name, output in node.inputs.items()},
        "outputs": list(step.outputs.names),
        "parameters": recorded(node.parameters, what=f"step {node.name!r}"),
        "retries": step.retries,
        "cache": step.cache,
        "docstring": doc if len(doc) <= DOCSTRING_LENGTH_MAX else doc[: DOCSTRING_LENGTH_MAX - 1] + "…",
    }


def recorded(parameters: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """Parameters as JSON. Raises InvalidPipeline for values that are none, or too large: those are data."""
    made = {}
    for name, value in parameters.items():
        try:
            made[name] = jsonable(value, strict=True)
        except TypeError as error:
            raise InvalidPipeline(
                f"{what}: parameter {name!r} cannot be recorded: {error}", hint="produce it in a step instead"
            ) from None
    size = len(canonical(made))
    if size > PARAMETERS_BYTES_MAX:
        raise InvalidPipeline(
            f"{what}: its parameters take {size} bytes, the limit is {PARAMETERS_BYTES_MAX}",
            hint="load or produce large values in a step",
        )
    return made


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
