"""Histories for tests: events as a workspace's users would cause them, appended to a real ledger.

What is written is always valid (references exist, stages have one holder), so every projection must accept it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from ledger.appending import CommandToAppend, Unit
from ledger.events.artifact import ArtifactDeleted, ArtifactRegistered, ArtifactRestored, ArtifactUpdated
from ledger.events.artifact_version import ArtifactVersionDeleted, ArtifactVersionRegistered, ArtifactVersionRestored
from ledger.events.component import ComponentDeleted, ComponentRegistered, ComponentRestored, ComponentUpdated
from ledger.events.metadata import MetadataLogged
from ledger.events.model import ModelRegistered, ModelUpdated
from ledger.events.model_version import (
    ModelVersionArtifactLinked,
    ModelVersionDeleted,
    ModelVersionDemoted,
    ModelVersionPromoted,
    ModelVersionRegistered,
    ModelVersionRestored,
)
from ledger.events.pipeline import PipelineDeleted, PipelineRegistered, PipelineRestored, PipelineUpdated
from ledger.events.rollback import RollbackApplied
from ledger.events.run import (
    Failure,
    RunCached,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStepsPlanned,
    StepCached,
    StepCompleted,
    StepFailed,
    StepPlan,
    StepQueued,
    StepRetrying,
    StepSkipped,
    StepStarted,
)
from ledger.events.snapshot import SnapshotCreated, SnapshotStepsDefined, StepSpec
from ledger.events.stack import StackDeleted, StackRegistered, StackRestored, StackUpdated
from ledger.events.tag import TagCreated, TagUpdated
from ledger.events.tagging import TagAttached, TagDetached
from ledger.values import StreamId, derived_id
from tests.support.ledgers import to_append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.envelope import Event
    from ledger.postgres.append import Appender

START = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = ("load", "train", "evaluate")
ACTORS = ("ada", "grace", "barbara")
COLORS = ("red", "green", "blue")


@dataclass
class History:
    """Grows by whole actions of users; `take` gives what was not taken yet."""

    seed: int = 0
    pending: list[tuple[StreamId, Event]] = field(default_factory=list)
    entities: dict[str, list[UUID]] = field(default_factory=dict)
    names: dict[UUID, str] = field(default_factory=dict)
    named: int = 0
    deleted: set[UUID] = field(default_factory=set)
    holders: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    parents: dict[UUID, UUID] = field(default_factory=dict)
    stages: dict[UUID, str] = field(default_factory=dict)
    attached: set[tuple[UUID, UUID]] = field(default_factory=set)
    versions: dict[StreamId, int] = field(default_factory=dict)
    clock: datetime = START

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a reproducible history, no secret

    def record(self, kind: str, id_: UUID, event: Event) -> UUID:
        self.pending.append((StreamId(kind, id_), event))
        return id_

    def take(self) -> list[tuple[StreamId, Event]]:
        taken, self.pending = self.pending, []
        return taken

    def act(self, times: int = 1) -> History:
        for _ in range(times):
            self.random.choice(ACTIONS)(self)
        return self

    def id(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def new(self, kind: str, event: Event, *, name: str = "") -> UUID:
        id_ = self.id()
        self.entities.setdefault(kind, []).append(id_)
        self.names[id_] = name
        return self.record(kind, id_, event)

    def name(self, word: str) -> str:
        """Never the same twice, also when an entity is renamed again."""
        self.named += 1
        return f"{word}-{self.named}"

    def some(self, kind: str, make: Callable[[History], UUID]) -> UUID:
        """One that is not deleted; made if there is none."""
        alive = [id_ for id_ in self.entities.get(kind, []) if id_ not in self.deleted]
        return self.random.choice(alive) if alive else make(self)

    def flip(self, kind: str, id_: UUID, *, deleted: Event, restored: Event) -> None:
        """Deletes, or restores what is deleted."""
        if id_ in self.deleted:
            self.deleted.remove(id_)
            self.record(kind, id_, restored)
        else:
            self.deleted.add(id_)
            self.record(kind, id_, deleted)


def component(history: History) -> UUID:
    name = history.name("store")
    configuration = {"path": f"/data/{name}", "retries": history.random.randint(0, 5), "deep": {"list": [1, 2.5, None]}}
    return history.new(
        "component",
        ComponentRegistered(
            name=name,
            component_type=history.random.choice(("artifact_store", "orchestrator")),
            flavor="local",
            configuration=configuration,
            labels={"team": history.random.choice(ACTORS)},
        ),
        name=name,
    )


def update_component(history: History) -> None:
    id_ = history.some("component", component)
    history.record("component", id_, ComponentUpdated(configuration={"path": str(history.random.random())}))


def flip_component(history: History) -> None:
    id_ = history.random.choice(history.entities.get("component") or [component(history)])
    history.flip("component", id_, deleted=ComponentDeleted(), restored=ComponentRestored())


def stack(history: History) -> UUID:
    name = history.name("stack")
    components = {"artifact_store": history.some("component", component)}
    return history.new("stack", StackRegistered(name=name, components=components), name=name)


def update_stack(history: History) -> None:
    id_ = history.some("stack", stack)
    history.names[id_] = history.name("renamed")
    history.record("stack", id_, StackUpdated(name=history.names[id_], labels={"tier": history.random.choice(COLORS)}))


def flip_stack(history: History) -> None:
    id_ = history.random.choice(history.entities.get("stack") or [stack(history)])
    history.flip("stack", id_, deleted=StackDeleted(), restored=StackRestored())


def pipeline(history: History) -> UUID:
    name = history.name("pipeline")
    return history.new("pipeline", PipelineRegistered(name=name, description="trains"), name=name)


def update_pipeline(history: History) -> None:
    id_ = history.some("pipeline", pipeline)
    history.record("pipeline", id_, PipelineUpdated(description=f"changed {history.random.random()}"))


def flip_pipeline(history: History) -> None:
    id_ = history.random.choice(history.entities.get("pipeline") or [pipeline(history)])
    history.flip("pipeline", id_, deleted=PipelineDeleted(), restored=PipelineRestored())


def snapshot(history: History) -> UUID:
    pipeline_id = history.some("pipeline", pipeline)
    digest = f"{history.random.getrandbits(256):064x}"
    id_ = history.new(
        "snapshot", SnapshotCreated(pipeline_id=pipeline_id, digest=digest, step_count=3, settings={"gpu": False})
    )
    history.parents[id_] = pipeline_id
    for step in STEPS:
        spec = StepSpec(name=step, source=f"flow.{step}", code_digest=digest, outputs=("output",))
        history.record("snapshot", id_, SnapshotStepsDefined(steps=(spec,)))
    return id_


def run(history: History) -> UUID:
    """A run and how it went: its events come one after another, some runs stay unfinished."""
    snapshot_id = history.some("snapshot", snapshot)
    created = RunCreated(
        name=history.name("run"),
        snapshot_id=snapshot_id,
        pipeline_id=history.parents[snapshot_id],
        stack_id=history.some("stack", stack),
        step_count=3,
        parameters={"C": history.random.choice((0.1, 0.5, 1.0, 10)), "solver": history.random.choice(COLORS)},
    )
    id_ = history.new("run", created, name=created.name)
    plans = [StepPlan("load"), StepPlan("train", ("load",), 1), StepPlan("evaluate", ("train",))]
    history.record("run", id_, RunStepsPlanned(steps=tuple(plans[:2])))
    history.record("run", id_, RunStepsPlanned(steps=tuple(plans[2:])))
    for event in _course(history, id_):
        history.record("run", id_, event)
    return id_


def _course(history: History, run_id: UUID) -> Iterator[Event]:
    fate = history.random.choice(("completed", "failed", "cached", "paused", "running", "initializing"))
    if fate == "initializing":
        return
    yield RunQueued(reason="waiting")
    yield RunStarted()
    if fate == "running":
        return
    output = history.some("artifact_version", artifact_version)
    cache_key = f"{history.random.getrandbits(64):x}"
    if fate == "cached":
        for step in STEPS:
            yield StepCached(step=step, cache_key=cache_key, outputs={"output": output})
        yield RunCached()
        return
    yield StepQueued(step="load")
    yield StepStarted(step="load", attempt=1, cache_key=cache_key)
    yield StepCompleted(step="load", attempt=1, outputs={"output": output})
    if fate == "paused":
        yield RunPaused(reason="approval")
        yield RunResumed()
    yield StepStarted(step="train", attempt=1, inputs={"data": output})
    failure = Failure("ValueError", "no convergence", "Traceback …")
    yield StepRetrying(step="train", attempt=1, failure=failure)
    yield StepStarted(step="train", attempt=2, inputs={"data": output})
    if fate == "failed":
        yield StepFailed(step="train", attempt=2, failure=failure)
        yield StepSkipped(step="evaluate", reason="upstream failed")
        yield RunFailed(failure=failure)
        return
    model = artifact_version(history, run_id=run_id, step="train")
    yield StepCompleted(step="train", attempt=2, outputs={"model": model})
    yield StepStarted(step="evaluate", attempt=1, inputs={"model": model, "data": output})
    yield StepCompleted(step="evaluate", attempt=1)
    yield RunCompleted()


def artifact(history: History) -> UUID:
    name = history.name("dataset")
    return history.new("artifact", ArtifactRegistered(name=name), name=name)


def update_artifact(history: History) -> None:
    id_ = history.some("artifact", artifact)
    history.names[id_] = history.name("renamed")
    history.record("artifact", id_, ArtifactUpdated(name=history.names[id_]))


def flip_artifact(history: History) -> None:
    id_ = history.random.choice(history.entities.get("artifact") or [artifact(history)])
    history.flip("artifact", id_, deleted=ArtifactDeleted(), restored=ArtifactRestored())


def artifact_version(history: History, *, run_id: UUID | None = None, step: str = "") -> UUID:
    parent = history.some("artifact", artifact)
    number = 1 + sum(1 for known in history.parents.values() if known == parent)
    id_ = history.new(
        "artifact_version",
        ArtifactVersionRegistered(
            artifact_id=parent,
            number=number,
            uri=f"/data/{number}",
            artifact_type=history.random.choice(("DataArtifact", "ModelArtifact")),
            data_type="pandas.DataFrame",
            materializer="PandasMaterializer",
            content_hash=f"sha256:{number:064x}",
            size_bytes=history.random.randint(0, 2**40),
            save_type="step_output",
            run_id=run_id,
            step=step,
            output="model" if step else "",
        ),
    )
    history.parents[id_] = parent
    return id_


def flip_artifact_version(history: History) -> None:
    id_ = history.random.choice(history.entities.get("artifact_version") or [artifact_version(history)])
    history.flip("artifact_version", id_, deleted=ArtifactVersionDeleted(), restored=ArtifactVersionRestored())


def model(history: History) -> UUID:
    name = history.name("model")
    return history.new("model", ModelRegistered(name=name, license="MIT"), name=name)


def update_model(history: History) -> None:
    history.record("model", history.some("model", model), ModelUpdated(ethics=history.random.choice(COLORS)))


def model_version(history: History) -> UUID:
    parent = history.some("model", model)
    number = 1 + sum(1 for known in history.parents.values() if known == parent)
    id_ = history.new("model_version", ModelVersionRegistered(model_id=parent, number=number))
    history.parents[id_] = parent
    history.stages[id_] = "none"
    return id_


def promote(history: History) -> None:
    id_ = history.some("model_version", model_version)
    stage = history.random.choice(("staging", "production"))
    previous = history.stages[id_]
    if previous == stage:
        return
    holder = history.holders.get((history.parents[id_], stage))
    if holder is not None and history.stages[holder] == stage:
        history.stages[holder] = "archived"
        history.record("model_version", holder, ModelVersionDemoted(stage="archived", previous_stage=stage, by=id_))
    history.holders[history.parents[id_], stage] = id_
    history.stages[id_] = stage
    history.record("model_version", id_, ModelVersionPromoted(stage=stage, previous_stage=previous, reason="better"))


def link(history: History) -> None:
    id_ = history.some("model_version", model_version)
    linked = history.some("artifact_version", artifact_version)
    role = history.random.choice(COLORS)
    history.record("model_version", id_, ModelVersionArtifactLinked(role=role, artifact_version_id=linked))


def flip_model_version(history: History) -> None:
    waiting = [id_ for id_ in history.entities.get("model_version", []) if history.stages[id_] == "none"]
    id_ = history.random.choice(waiting) if waiting else model_version(history)
    history.flip("model_version", id_, deleted=ModelVersionDeleted(), restored=ModelVersionRestored())


def tag(history: History) -> UUID:
    name = history.name("tag")
    return history.new("tag", TagCreated(name=name, color="red"), name=name)


def update_tag(history: History) -> None:
    history.record("tag", history.some("tag", tag), TagUpdated(color=history.random.choice(COLORS)))


def toggle_tag(history: History) -> None:
    kind, make = history.random.choice((("run", run), ("stack", stack), ("model_version", model_version)))
    resource, tag_id = history.some(kind, make), history.some("tag", tag)
    pair = (tag_id, resource)
    fields = {"tag_id": tag_id, "tag": history.names[tag_id], "resource_kind": kind, "resource_id": resource}
    stream = derived_id("tagging", *pair)
    if pair in history.attached:
        history.attached.remove(pair)
        history.record("tagging", stream, TagDetached(**fields))
    else:
        history.attached.add(pair)
        history.record("tagging", stream, TagAttached(**fields))


def log_metadata(history: History) -> None:
    values = {
        "accuracy": history.random.random(),
        "classes": ["a", "b"],
        history.random.choice(COLORS): history.random.choice(
            (True, None, 3, -0.0, 1e-300, 12345678901234567890123, "x")
        ),
    }
    event = MetadataLogged(
        resource_kind="run",
        resource_id=history.some("run", run),
        values=values,
        step=history.random.choice(("", "train")),
        step_index=history.random.choice((None, 1, 2)),
    )
    history.record("metadata", history.id(), event)


def rollback(history: History) -> None:
    event = RollbackApplied(to_position=1, planned_at_position=2, reason="bad week", entities=("stack/x",))
    history.record("rollback", history.id(), event)


ACTIONS: tuple[Callable[[History], object], ...] = (
    component, update_component, flip_component, stack, update_stack, flip_stack, pipeline, update_pipeline,
    flip_pipeline, snapshot, run, run, run, run, artifact, update_artifact, flip_artifact, artifact_version,
    flip_artifact_version, model, update_model, model_version, model_version, promote, promote, promote, link,
    flip_model_version, tag, update_tag, toggle_tag, toggle_tag, toggle_tag, log_metadata, log_metadata, rollback,
)  # fmt: skip


async def append(appender: Appender, workspace_id: UUID, history: History, *, events_per_unit: int = 7) -> int:
    """Appends what a history has pending, as the acts of several people, and returns the head."""
    head, pending = 0, history.take()
    for first in range(0, len(pending), events_per_unit):
        unit = _unit(workspace_id, history, pending[first : first + events_per_unit])
        head = (await appender.append(unit)).head
    return head


def _unit(workspace_id: UUID, history: History, events: list[tuple[StreamId, Event]]) -> Unit:
    encoded = tuple(to_append(stream, event) for stream, event in events)
    expected = {stream: history.versions.get(stream, 0) for stream, _ in events}
    for stream, _ in events:
        history.versions[stream] = history.versions.get(stream, 0) + 1
    history.clock += timedelta(seconds=history.random.random())
    command = CommandToAppend(uuid4(), b"", events[0][0], encoded, occurred_at=history.clock)
    actor = history.random.choice(ACTORS)
    return Unit(workspace_id, (command,), expected, actor=actor, correlation_id=uuid4())
