"""Metadata: logged about what exists, without waiting for it to stand still."""

from __future__ import annotations

import msgspec
import pytest

from commands.metadata import LogMetadata
from commands.rejections import AlreadyExists, EntityNotFound
from ledger.envelope import NewEvent
from ledger.events.metadata import MetadataLogged
from tests.support import first_events as first
from tests.support.deciding import given, stream

RUN, ENTRY = stream("run", "r"), stream("metadata", "m")
LOG = LogMetadata(
    id=ENTRY.id, resource_kind="run", resource=str(RUN.id), values={"loss": 0.5}, step="train", step_index=3
)


def test_logging_needs_the_entity_but_does_not_fence_it() -> None:
    world = given(*first.run("r"))
    event = MetadataLogged(resource_kind="run", resource_id=RUN.id, values={"loss": 0.5}, step="train", step_index=3)
    world.when(LOG).then(NewEvent(ENTRY, event))
    assert world.working.expected() == {ENTRY: 0}


def test_the_same_entry_again_is_nothing_and_another_one_is_refused() -> None:
    given(*first.run("r")).when(LOG, LOG).then()
    given(*first.run("r")).when(LOG, msgspec.structs.replace(LOG, values={"loss": 1})).then(AlreadyExists(ENTRY))


def test_what_does_not_exist_has_no_metadata() -> None:
    given().when(LOG).then(EntityNotFound("run", str(RUN.id)))


@pytest.mark.parametrize(
    "bad", [{"values": {}}, {"values": {"a:b": 1}}, {"values": {"": 1}}, {"step_index": -1}, {"resource_kind": "stack"}]
)
def test_bad_bodies_do_not_become_commands(bad: dict[str, object]) -> None:
    good = {"resource_kind": "run", "resource": str(RUN.id), "values": {"a": 1}}
    msgspec.convert(good, LogMetadata)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(good | bad, LogMetadata)
