"""What pipelines, artifacts, models and tags have in common: register, change, delete, restore, go back."""

from __future__ import annotations

from typing import Any

import pytest

from commands import artifact, model, pipeline, tag
from commands.command import Command, name_key
from commands.rejections import AlreadyExists, EntityNotFound, NameTaken, NotDeleted
from ledger.envelope import Event, NewEvent
from ledger.events.artifact import ArtifactDeleted, ArtifactRegistered, ArtifactRestored, ArtifactUpdated
from ledger.events.model import ModelDeleted, ModelRegistered, ModelRestored, ModelUpdated
from ledger.events.pipeline import PipelineDeleted, PipelineRegistered, PipelineRestored, PipelineUpdated
from ledger.events.tag import TagCreated, TagDeleted, TagRestored, TagUpdated
from ledger.values import new_id
from tests.support.deciding import given, stream

Shape = tuple[Any, str, list[type[Any]], list[type[Any]], dict[str, str], dict[str, str]]
SHAPES: list[Shape] = [
    (
        pipeline,
        "pipeline",
        list(pipeline.COMMANDS),
        [PipelineRegistered, PipelineUpdated, PipelineDeleted, PipelineRestored],
        {"name": "x", "description": "d"},
        {"name": "y", "description": "e"},
    ),
    (
        artifact,
        "artifact",
        list(artifact.COMMANDS),
        [ArtifactRegistered, ArtifactUpdated, ArtifactDeleted, ArtifactRestored],
        {"name": "x", "description": "d"},
        {"description": "e"},
    ),
    (
        model,
        "model",
        list(model.COMMANDS),
        [ModelRegistered, ModelUpdated, ModelDeleted, ModelRestored],
        {"name": "x", "license": "MIT", "ethics": "good"},
        {"license": "Apache-2.0", "use_cases": "digits", "trade_offs": "speed"},
    ),
    (
        tag,
        "tag",
        list(tag.COMMANDS),
        [TagCreated, TagUpdated, TagDeleted, TagRestored],
        {"name": "x", "color": "grey"},
        {"color": "red"},
    ),
]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape[1])
def shape(request: pytest.FixtureRequest) -> Shape:
    return request.param  # type: ignore[no-any-return]


def test_a_life(shape: Shape) -> None:
    _, kind, (register, update, delete, restore), (registered, updated, deleted, restored), first, then = shape
    entity = stream(kind, "x")
    ref = {kind: str(entity.id)}

    def on(event: Event) -> NewEvent:
        return NewEvent(entity, event)

    world = given()
    world.when(register(id=entity.id, **first)).then(on(registered(**first)))
    world.when(register(id=entity.id, **first)).then()
    world.when(register(**first)).then(NameTaken(name_key(kind, "x"), entity))
    world.when(update(**{kind: "x"}, **then)).then(on(updated(**then)))
    world.when(update(**ref, **then)).then()
    world.when(register(id=entity.id, **first)).then(AlreadyExists(entity))
    world.when(restore(**ref)).then(NotDeleted(entity))
    world.when(delete(**ref)).then(on(deleted()))
    assert world.claims(entity) == set()
    world.when(delete(**ref)).then(EntityNotFound(kind, str(entity.id)))
    world.when(restore(**ref)).then(on(restored()))
    assert world.claims(entity) == {name_key(kind, then.get("name", "x"))}


def test_a_free_name_can_be_taken_and_then_the_old_one_cannot_come_back(shape: Shape) -> None:
    _, kind, (register, _, delete, restore), _, first, _ = shape
    old, new = stream(kind, "x"), stream(kind, "new")
    world = given()
    world.when(register(id=old.id, **first), delete(**{kind: "x"}), register(id=new.id, **first)).events()
    world.when(restore(**{kind: str(old.id)})).then(NameTaken(name_key(kind, "x"), new))


def test_the_way_back_leads_to_the_same_state(shape: Shape) -> None:
    module, kind, (register, update, delete, _), _, first, then = shape
    entity = stream(kind, "x")
    world = given()
    world.when(register(id=entity.id, **first)).events()
    past = world.state(entity)
    changed: list[Command] = [update(**{kind: "x"}, **then), delete(**{kind: str(entity.id)})]
    for command in changed:
        world.when(command).events()
        current = world.state(entity)
        branch = given(*(NewEvent(entity, event) for event in history(shape, upto=changed.index(command) + 2)))
        assert branch.state(entity) == current
        branch.when(*module.restore(entity, current, past)).events()
        assert branch.state(entity) == past
    assert module.restore(entity, past, None) == [delete(**{kind: str(entity.id)})]
    assert module.restore(entity, past, past) == []


def history(shape: Shape, *, upto: int) -> list[Event]:
    _, _, _, (registered, updated, deleted, _), first, then = shape
    return [registered(**first), updated(**then), deleted()][:upto]


def test_what_does_not_exist_is_named(shape: Shape) -> None:
    _, kind, (_, _, delete, _), _, _, _ = shape
    missing = str(new_id())
    for ref in ("nowhere", missing, missing[:8]):
        given().when(delete(**{kind: ref})).then(EntityNotFound(kind, ref))
