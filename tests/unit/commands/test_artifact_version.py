"""Artifact versions: numbers that are never given twice, artifacts made on the way, references that exist."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from commands.artifact_version import DeleteArtifactVersion, RegisterArtifactVersion, RestoreArtifactVersion
from commands.command import number_key
from commands.rejections import AlreadyExists, ComponentTypeMismatch, EntityNotFound, NotDeleted
from ledger.envelope import NewEvent
from ledger.events.artifact import ArtifactRegistered
from ledger.events.artifact_version import (
    ArtifactVersionDeleted,
    ArtifactVersionRegistered,
    ArtifactVersionRestored,
)
from ledger.values import new_id
from tests.support import first_events as first
from tests.support.deciding import given, stream
from tests.support.first_events import HEX

DIGITS = stream("artifact", "digits")
FIRST = stream("artifact_version", "digits@1")


def register(**changed: Any) -> RegisterArtifactVersion:
    fields = {
        "artifact": "digits",
        "uri": "/data/digits/1",
        "artifact_type": "DataArtifact",
        "data_type": "builtins.int",
        "materializer": "everline.artifacts.Json",
        "content_hash": f"sha256:{HEX}",
        "size_bytes": 1,
        "save_type": "step_output",
    }
    return msgspec.convert(fields | changed, RegisterArtifactVersion)


def numbers(*made: list[NewEvent]) -> list[int]:
    return [new.event.number for events in made for new in events if isinstance(new.event, ArtifactVersionRegistered)]


def test_the_first_version_makes_the_artifact() -> None:
    artifact, version = given().when(register()).events()
    assert artifact.event == ArtifactRegistered(name="digits")
    assert isinstance(version.event, ArtifactVersionRegistered)
    assert (version.event.artifact_id, version.event.number) == (artifact.stream.id, 1)


def test_numbers_go_on_also_within_a_batch_and_after_a_deletion() -> None:
    world = given(first.artifact("digits"), first.artifact_version("digits", 1))
    assert numbers(world.when(register()).events(), world.when(register()).events()) == [2, 3]
    world.when(DeleteArtifactVersion(artifact_version="digits@3")).events()
    assert numbers(world.when(register(artifact=str(DIGITS.id))).events()) == [4]


def test_the_same_version_again_is_nothing_and_another_one_is_refused() -> None:
    world = given(first.artifact("digits"), first.artifact_version("digits", 1))
    world.when(register()).events()
    world.when(register(id=str(FIRST.id))).then()
    world.when(register(id=str(FIRST.id), size_bytes=2)).then(AlreadyExists(FIRST))


def test_it_says_where_it_lies_and_who_made_it() -> None:
    world = given(first.artifact("digits"), *first.stack("s"), *first.run("r"))
    [made] = world.when(register(artifact_store="store", run=str(stream("run", "r").id), step="load")).events()
    assert isinstance(made.event, ArtifactVersionRegistered)
    assert made.event.artifact_store_id == stream("component", "store").id
    assert (made.event.run_id, made.event.step) == (stream("run", "r").id, "load")


def test_what_it_refers_to_must_exist_and_be_a_store() -> None:
    world, missing = given(*first.stack("s")), str(new_id())
    world.when(register(run=missing)).then(EntityNotFound("run", missing))
    world.when(register(artifact=missing)).then(EntityNotFound("artifact", missing))
    world.when(register(artifact_store="x")).then(EntityNotFound("component", "x"))
    world.when(register(artifact_store="local")).then(
        ComponentTypeMismatch(component="local", wanted="artifact_store", actual="orchestrator")
    )


def test_deleting_and_restoring_keeps_the_number() -> None:
    world = given(first.artifact("digits"), first.artifact_version("digits", 1))
    world.when(RestoreArtifactVersion(artifact_version="digits@1")).then(NotDeleted(FIRST))
    world.when(DeleteArtifactVersion(artifact_version="digits@1")).then(NewEvent(FIRST, ArtifactVersionDeleted()))
    assert world.claims(FIRST) == {number_key("artifact_version", DIGITS.id, 1)}
    world.when(DeleteArtifactVersion(artifact_version="digits@1")).then(EntityNotFound("artifact_version", "digits@1"))
    world.when(RestoreArtifactVersion(artifact_version="digits@1")).then(NewEvent(FIRST, ArtifactVersionRestored()))


@pytest.mark.parametrize(
    "bad",
    [
        {"size_bytes": -1},
        {"content_hash": HEX},
        {"save_type": "guess"},
        {"artifact_type": "Data"},
        {"artifact": "a@1"},
        {"uri": ""},
    ],
)
def test_bad_bodies_do_not_become_commands(bad: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        register(**bad)
