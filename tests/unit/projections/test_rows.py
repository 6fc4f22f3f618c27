"""Versions of rows: what closes one, what does not, and what a projection may not do."""

from __future__ import annotations

from uuid import UUID

import pytest

from ledger.events.component import ComponentRegistered, ComponentUpdated
from ledger.events.stack import StackDeleted, StackRegistered, StackRestored, StackUpdated
from ledger.events.tag import TagCreated
from ledger.events.tagging import TagAttached, TagDetached
from projections.errors import BrokenFold, ProjectionStopped
from tests.unit.projections.folding import Folded

STACK, TAG, TAGGING, COMPONENT = (UUID(int=n) for n in range(1, 5))


def registered() -> Folded:
    return Folded().record("stack", STACK, StackRegistered(name="prod", components={"orchestrator": COMPONENT}))


def test_a_change_closes_the_version_before_it() -> None:
    folded = registered().record("stack", STACK, StackUpdated(name="production"))
    assert folded.row("stacks", STACK)["name"] == "production"
    assert folded.row("stacks", STACK)["from_position"] == 2
    assert folded.row("stacks", STACK)["version"] == 2
    assert folded.versions("stacks", STACK) == [(1, 2)]


def test_a_deleted_row_is_a_tombstone_that_can_come_back() -> None:
    folded = registered().record("stack", STACK, StackDeleted())
    assert folded.row("stacks", STACK)["deleted"]
    assert folded.row("stacks", STACK)["name"] == "prod"
    folded.record("stack", STACK, StackRestored())
    assert not folded.row("stacks", STACK)["deleted"]
    assert folded.versions("stacks", STACK) == [(1, 2), (2, 3)]


def test_tags_show_on_the_entity_without_touching_its_version() -> None:
    pair = {"tag_id": TAG, "tag": "eu", "resource_kind": "stack", "resource_id": STACK}
    folded = registered().record("tag", TAG, TagCreated(name="eu", color="red"))
    folded.record("tagging", TAGGING, TagAttached(**pair))
    assert folded.row("stacks", STACK)["tags"] == ["eu"]
    assert folded.row("stacks", STACK)["version"] == 1
    folded.record("tagging", TAGGING, TagDetached(**pair), TagAttached(**pair))
    assert folded.row("stacks", STACK)["tags"] == ["eu"]
    assert not folded.row("taggings", TAGGING)["deleted"]


def test_every_event_is_in_the_audit_index() -> None:
    folded = registered().record("stack", STACK, StackUpdated(name="production"))
    assert [(row["type"], row["stream_id"]) for row in folded.rows.inserted("events")] == [
        ("stack.registered", STACK),
        ("stack.updated", STACK),
    ]


def test_an_update_of_what_does_not_exist_stops_the_projection() -> None:
    with pytest.raises(ProjectionStopped, match=r"position 1 \(stack.updated\)") as stopped:
        Folded().record("stack", STACK, StackUpdated(name="x"))
    assert stopped.value.position == 1


def test_columns_are_checked() -> None:
    folded = Folded().record(
        "component",
        COMPONENT,
        ComponentRegistered(name="local", component_type="orchestrator", flavor="local", configuration={}),
        ComponentUpdated(configuration={"n": 1}),
    )
    with pytest.raises(BrokenFold, match="set once"):
        folded.rows.update("components", COMPONENT, flavor="kubernetes")
    with pytest.raises(BrokenFold, match="no columns"):
        folded.rows.update("components", COMPONENT, colour="red")
    with pytest.raises(BrokenFold, match="already"):
        folded.rows.insert("components", COMPONENT, name="twice")
