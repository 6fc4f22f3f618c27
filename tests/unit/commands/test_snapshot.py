"""Snapshots: graphs that hold, ids that follow from the content, and pipelines made on the way."""

from __future__ import annotations

import random

import msgspec
import pytest

from commands.command import Rejection
from commands.pipeline import DeletePipeline
from commands.rejections import (
    AlreadyExists,
    CyclicPipeline,
    DuplicateOutput,
    DuplicateStep,
    EntityNotFound,
    UnknownInput,
    UnknownUpstream,
)
from commands.slices import STEPS_PER_EVENT_MAX
from commands.snapshot import CreateSnapshot
from commands.snapshot_steps import STEPS_MAX, InputSource, Step
from ledger.codec import EVENT_DATA_BYTES_MAX, encode_data
from ledger.envelope import NewEvent
from ledger.events.pipeline import PipelineRegistered
from ledger.events.snapshot import SnapshotCreated, SnapshotStepsDefined, StepInput, StepSpec
from ledger.values import StreamId, derived_id, new_id
from tests.support import first_events as first
from tests.support.deciding import given, stream
from tests.support.first_events import HEX

DIGITS = stream("pipeline", "digits")
SNAPSHOT = StreamId("snapshot", derived_id("snapshot", DIGITS.id, HEX))


def step(name: str, *upstream: str, inputs: dict[str, str] | None = None, outputs: tuple[str, ...] = ()) -> Step:
    """`inputs` maps an argument to `step.output`."""
    sources = {argument: source.split(".") for argument, source in (inputs or {}).items()}
    return Step(
        name=name,
        source="module.function",
        code_digest=HEX,
        upstream=upstream,
        inputs={argument: InputSource(step=of, output=output) for argument, (of, output) in sources.items()},
        outputs=outputs,
    )


def create(*steps: Step, pipeline: str = "digits") -> CreateSnapshot:
    return CreateSnapshot(pipeline=pipeline, digest=HEX, steps=steps)


def test_a_snapshot_of_a_known_pipeline() -> None:
    steps = (step("train", "load", inputs={"x": "load.data"}), step("load", outputs=("data",)))
    created = SnapshotCreated(pipeline_id=DIGITS.id, digest=HEX, step_count=2)
    specs = (
        StepSpec("load", "module.function", HEX, outputs=("data",)),
        StepSpec("train", "module.function", HEX, upstream=("load",), inputs={"x": StepInput("load", "data")}),
    )
    world = given(first.pipeline("digits")).when(create(*steps))
    world.then(NewEvent(SNAPSHOT, created), NewEvent(SNAPSHOT, SnapshotStepsDefined(steps=specs)))


def test_a_missing_pipeline_is_registered_with_it() -> None:
    pipeline, created, _ = given().when(create(step("load"))).events()
    assert pipeline.event == PipelineRegistered(name="digits")
    assert created.stream.id == derived_id("snapshot", pipeline.stream.id, HEX)


def test_a_deleted_pipeline_is_not_used_again() -> None:
    world = given(first.pipeline("digits"))
    pipeline, *_ = world.when(DeletePipeline(pipeline="digits"), create(step("load"))).events()
    assert pipeline.stream != DIGITS


def test_an_id_is_never_the_name_of_a_new_pipeline() -> None:
    missing = str(new_id())
    given().when(create(step("load"), pipeline=missing)).then(EntityNotFound("pipeline", missing))


def test_the_same_content_is_stored_once() -> None:
    world = given(first.pipeline("digits"))
    world.when(create(step("load")), create(step("load"))).then()
    world.when(msgspec.structs.replace(create(step("load")), pipeline=str(DIGITS.id))).then()


def test_one_digest_stands_for_one_content() -> None:
    given(first.pipeline("digits")).when(create(step("load")), create(step("else"))).then(AlreadyExists(SNAPSHOT))


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ((step("a"), step("b"), step("a")), DuplicateStep("a")),
        ((step("a", outputs=("x", "y", "x")),), DuplicateOutput(step="a", output="x")),
        ((step("a", "b"),), UnknownUpstream(step="a", upstream="b")),
        ((step("a"), step("b", "a", inputs={"x": "a.y"})), UnknownInput(step="b", argument="x", source="a.y")),
        (
            (step("a", outputs=("y",)), step("b", inputs={"x": "a.y"})),
            UnknownInput(step="b", argument="x", source="a.y"),
        ),
        ((step("a", "a"),), CyclicPipeline(["a", "a"])),
    ],
)
def test_graphs_that_do_not_hold(steps: tuple[Step, ...], refused: Rejection) -> None:
    given().when(create(*steps)).then(refused)


def test_a_cycle_is_named() -> None:
    refused = given().when(create(step("start"), step("a", "c", "start"), step("b", "a"), step("c", "b"))).rejection()
    assert isinstance(refused, CyclicPipeline)
    assert refused.cycle[0] == refused.cycle[-1]
    assert set(refused.cycle) == {"a", "b", "c"}


def test_the_largest_pipeline_is_stored_in_topological_order_and_every_event_fits() -> None:
    steps = [step(f"s{n}", *(f"s{before}" for before in range(max(0, n - 3), n))) for n in range(STEPS_MAX)]
    steps = [msgspec.structs.replace(one, docstring="d" * 2_000) for one in steps]
    random.Random(1).shuffle(steps)  # noqa: S311 - an order, not a secret
    _, created, *slices = given().when(create(*steps)).events()
    assert isinstance(created.event, SnapshotCreated)
    assert created.event.step_count == STEPS_MAX
    order = [spec.name for part in slices if isinstance(part.event, SnapshotStepsDefined) for spec in part.event.steps]
    assert order == [f"s{n}" for n in range(STEPS_MAX)]
    assert max(len(encode_data(part.event)) for part in slices) <= EVENT_DATA_BYTES_MAX
    assert len(slices) > STEPS_MAX / STEPS_PER_EVENT_MAX, "steps with long texts need smaller slices"


@pytest.mark.parametrize(
    "body",
    [
        {"steps": []},
        {"digest": "abc"},
        {"steps": [{"name": "a:b", "source": "m.f", "code_digest": HEX}]},
        {"steps": [{"name": "a", "source": "m.f", "code_digest": HEX, "retries": -1}]},
        {"steps": [{"name": "a", "source": "m.f", "code_digest": HEX, "surprise": 1}]},
    ],
)
def test_bad_bodies_do_not_become_commands(body: dict[str, object]) -> None:
    good = {"pipeline": "digits", "digest": HEX, "steps": [{"name": "a", "source": "m.f", "code_digest": HEX}]}
    msgspec.convert(good, CreateSnapshot)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(good | body, CreateSnapshot)
