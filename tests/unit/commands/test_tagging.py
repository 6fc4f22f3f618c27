"""Taggings: a pair is attached or not, however often somebody says so."""

from __future__ import annotations

from commands.rejections import EntityNotFound
from commands.tag import DeleteTag
from commands.tagging import AttachTag, DetachTag, restore
from ledger.envelope import NewEvent
from ledger.events.tag import TagCreated
from ledger.events.tagging import TagAttached, TagDetached
from ledger.values import StreamId, derived_id, new_id
from tests.support import first_events as first
from tests.support.deciding import World, given, stream

GOLDEN, CHURN = stream("tag", "golden"), stream("model", "churn")
PAIR = StreamId("tagging", derived_id("tagging", GOLDEN.id, CHURN.id))
ATTACH = AttachTag(tag="golden", resource_kind="model", resource="churn")
DETACH = DetachTag(tag="golden", resource_kind="model", resource="churn")
ATTACHED = TagAttached(tag_id=GOLDEN.id, tag="golden", resource_kind="model", resource_id=CHURN.id)
DETACHED = TagDetached(tag_id=GOLDEN.id, tag="golden", resource_kind="model", resource_id=CHURN.id)


def a_tag_and_a_model() -> World:
    return given(first.tag("golden"), first.model("churn"))


def test_attaching_and_detaching() -> None:
    world = a_tag_and_a_model()
    world.when(DETACH).then()
    world.when(ATTACH).then(NewEvent(PAIR, ATTACHED))
    world.when(ATTACH).then()
    world.when(DETACH).then(NewEvent(PAIR, DETACHED))
    world.when(DETACH).then()
    world.when(ATTACH).then(NewEvent(PAIR, ATTACHED))


def test_a_missing_tag_is_created_under_its_name() -> None:
    world = given(first.model("churn"))
    tag, attached = world.when(ATTACH).events()
    assert tag.event == TagCreated(name="golden", color="grey")
    assert attached.stream.id == derived_id("tagging", tag.stream.id, CHURN.id)
    world.when(ATTACH).then()


def test_what_must_exist() -> None:
    missing = str(new_id())
    a_tag_and_a_model().when(AttachTag(tag=missing, resource_kind="model", resource="churn")).then(
        EntityNotFound("tag", missing)
    )
    a_tag_and_a_model().when(AttachTag(tag="golden", resource_kind="stack", resource="churn")).then(
        EntityNotFound("stack", "churn")
    )
    a_tag_and_a_model().when(DetachTag(tag="silver", resource_kind="model", resource="churn")).then(
        EntityNotFound("tag", "silver")
    )


def test_a_deleted_tag_is_still_detached_by_its_id() -> None:
    detach = DetachTag(tag=str(GOLDEN.id), resource_kind="model", resource="churn")
    a_tag_and_a_model().when(ATTACH, DeleteTag(tag="golden"), detach).then(NewEvent(PAIR, DETACHED))


def test_the_way_back() -> None:
    world = a_tag_and_a_model()
    world.when(ATTACH).events()
    attached = world.state(PAIR)
    assert restore(PAIR, attached, attached) == []
    world.when(*restore(PAIR, attached, None)).then(NewEvent(PAIR, DETACHED))
    detached = world.state(PAIR)
    assert restore(PAIR, detached, None) == []
    world.when(*restore(PAIR, detached, attached)).then(NewEvent(PAIR, ATTACHED))
