"""The first events of entities, for specifications: ids follow from names, so that tests can name them."""

from __future__ import annotations

from typing import Any

from ledger.envelope import NewEvent
from ledger.events.artifact import ArtifactRegistered
from ledger.events.artifact_version import ArtifactVersionRegistered
from ledger.events.component import ComponentRegistered
from ledger.events.model import ModelRegistered
from ledger.events.model_version import ModelVersionRegistered
from ledger.events.pipeline import PipelineRegistered
from ledger.events.run import RunCreated, RunStepsPlanned, StepPlan
from ledger.events.snapshot import SnapshotCreated, SnapshotStepsDefined, StepSpec
from ledger.events.stack import StackRegistered
from ledger.events.tag import TagCreated
from ledger.events.workspace import WorkspaceCreated
from tests.support.deciding import stream

HEX = "0" * 64


def workspace(name: str) -> NewEvent:
    return NewEvent(stream("workspace", name), WorkspaceCreated(name=name))


def component(name: str, component_type: str = "orchestrator", flavor: str = "local", **configuration: Any) -> NewEvent:
    default = {"path": "/data"} if component_type == "artifact_store" else {"parallelism_max": 4}
    event = ComponentRegistered(
        name=name, component_type=component_type, flavor=flavor, configuration=configuration or default
    )
    return NewEvent(stream("component", name), event)


def stack(name: str, *, orchestrator: str = "local", artifact_store: str = "store") -> list[NewEvent]:
    """With its two components."""
    components = {
        "orchestrator": stream("component", orchestrator).id,
        "artifact_store": stream("component", artifact_store).id,
    }
    return [
        component(orchestrator),
        component(artifact_store, "artifact_store"),
        NewEvent(stream("stack", name), StackRegistered(name=name, components=components)),
    ]


def pipeline(name: str) -> NewEvent:
    return NewEvent(stream("pipeline", name), PipelineRegistered(name=name))


def snapshot(name: str, *steps: StepPlan) -> list[NewEvent]:
    """Of a pipeline of the same name, which comes first."""
    of = stream("snapshot", name)
    specs = tuple(StepSpec(step.name, "m.f", HEX, upstream=step.upstream, retries=step.retries) for step in steps)
    created = SnapshotCreated(pipeline_id=stream("pipeline", name).id, digest=HEX, step_count=len(specs))
    return [pipeline(name), NewEvent(of, created), NewEvent(of, SnapshotStepsDefined(steps=specs))]


def run(name: str, *steps: StepPlan) -> list[NewEvent]:
    of = stream("run", name)
    created = RunCreated(
        name=name,
        snapshot_id=stream("snapshot", name).id,
        pipeline_id=stream("pipeline", name).id,
        stack_id=stream("stack", name).id,
        step_count=len(steps),
    )
    return [NewEvent(of, created), NewEvent(of, RunStepsPlanned(steps=steps))]


def artifact(name: str) -> NewEvent:
    return NewEvent(stream("artifact", name), ArtifactRegistered(name=name))


def artifact_version(name: str, number: int) -> NewEvent:
    """Its id is that of `name@number`."""
    event = ArtifactVersionRegistered(
        artifact_id=stream("artifact", name).id,
        number=number,
        uri=f"/data/{name}/{number}",
        artifact_type="DataArtifact",
        data_type="builtins.int",
        materializer="everline.artifacts.Json",
        content_hash=f"sha256:{HEX}",
        size_bytes=1,
        save_type="step_output",
    )
    return NewEvent(stream("artifact_version", f"{name}@{number}"), event)


def model(name: str) -> NewEvent:
    return NewEvent(stream("model", name), ModelRegistered(name=name))


def model_version(name: str, number: int) -> NewEvent:
    """Its id is that of `name@number`."""
    event = ModelVersionRegistered(model_id=stream("model", name).id, number=number)
    return NewEvent(stream("model_version", f"{name}@{number}"), event)


def tag(name: str, color: str = "grey") -> NewEvent:
    return NewEvent(stream("tag", name), TagCreated(name=name, color=color))
