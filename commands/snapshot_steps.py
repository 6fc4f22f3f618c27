"""The steps of a snapshot as they come in, and the rules of a pipeline's graph."""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

import msgspec
from msgspec import Meta

from commands.fields import Hex, JsonFields, Name, Text, Uri
from commands.rejections import CyclicPipeline, DuplicateOutput, DuplicateStep, UnknownInput, UnknownUpstream
from ledger.events.snapshot import StepInput, StepSpec

STEPS_MAX = 2_000
ARGUMENTS_MAX = 500
RETRIES_MAX = 100


class InputSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The output of an upstream step that an argument takes."""

    step: Name
    output: Name


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node of the graph. `upstream` names every step that must finish before, also those of the inputs;
    `code_digest` is the SHA-256 of the step's source text."""

    name: Name
    source: Uri
    code_digest: Hex
    upstream: Annotated[tuple[Name, ...], Meta(max_length=STEPS_MAX)] = ()
    inputs: Annotated[dict[Name, InputSource], Meta(max_length=ARGUMENTS_MAX)] = {}
    outputs: Annotated[tuple[Name, ...], Meta(max_length=ARGUMENTS_MAX)] = ()
    parameters: JsonFields = {}
    retries: Annotated[int, Meta(ge=0, le=RETRIES_MAX)] = 0
    cache: bool = True
    settings: JsonFields = {}
    docstring: Text = ""

    def spec(self) -> StepSpec:
        """The step as the ledger keeps it."""
        inputs = {argument: StepInput(source.step, source.output) for argument, source in self.inputs.items()}
        return StepSpec(**msgspec.structs.asdict(self) | {"inputs": inputs})


Steps = Annotated[tuple[Step, ...], Meta(min_length=1, max_length=STEPS_MAX)]
Broken = DuplicateStep | DuplicateOutput | UnknownUpstream | UnknownInput | CyclicPipeline


def in_order(steps: tuple[Step, ...]) -> list[Step] | Broken:
    """The steps in topological order, or the first thing that is wrong with their graph."""
    by_name = {step.name: step for step in steps}
    if len(by_name) < len(steps):
        return DuplicateStep(next(name for name, count in Counter(step.name for step in steps).items() if count > 1))
    for step in steps:
        wrong = _misnamed(step, by_name)
        if wrong is not None:
            return wrong
    graph = {step.name: step.upstream for step in steps}
    try:
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        return CyclicPipeline(error.args[1])


def _misnamed(step: Step, by_name: dict[str, Step]) -> Broken | None:
    """What in this step names something that is not there, or is there twice."""
    if len(set(step.outputs)) < len(step.outputs):
        return DuplicateOutput(step=step.name, output=Counter(step.outputs).most_common(1)[0][0])
    for upstream in step.upstream:
        if upstream not in by_name:
            return UnknownUpstream(step=step.name, upstream=upstream)
    for argument, source in step.inputs.items():
        if source.step not in step.upstream or source.output not in by_name[source.step].outputs:
            return UnknownInput(step=step.name, argument=argument, source=f"{source.step}.{source.output}")
    return None
