"""Stacks: what they need, and what they come back to."""

from __future__ import annotations

import msgspec

from commands.command import child_key, name_key
from commands.rejections import (
    AlreadyExists,
    ComponentTypeMismatch,
    EntityNotFound,
    NameTaken,
    NotDeleted,
    StackIncomplete,
)
from commands.stack import DeleteStack, RegisterStack, RestoreStack, State, UpdateStack, restore
from ledger.envelope import NewEvent
from ledger.events.stack import StackDeleted, StackRegistered, StackRestored, StackUpdated
from tests.support import first_events as first
from tests.support.deciding import given, stream

STACK = stream("stack", "s")
LOCAL, STORE = stream("component", "local"), stream("component", "store")
COMPONENTS = (first.component("local"), first.component("store", "artifact_store"))
REGISTER = RegisterStack(id=STACK.id, name="s", components={"orchestrator": "local", "artifact_store": "store"})
HELD = {"orchestrator": LOCAL.id, "artifact_store": STORE.id}


def test_a_stack_holds_the_ids_of_its_components() -> None:
    world = given(*COMPONENTS).when(REGISTER).then(NewEvent(STACK, StackRegistered(name="s", components=HELD)))
    uses = {child_key("stack_use", id_, "s") for id_ in HELD.values()}
    assert world.claims(STACK) == {name_key("stack", "s")} | uses


def test_the_same_stack_again_is_nothing_and_another_one_is_refused() -> None:
    given(*COMPONENTS).when(REGISTER, REGISTER).then()
    given(*COMPONENTS).when(REGISTER, msgspec.structs.replace(REGISTER, name="t")).then(AlreadyExists(STACK))


def test_a_name_is_taken_once() -> None:
    other = msgspec.structs.replace(REGISTER, id=stream("stack", "other").id)
    given(*COMPONENTS).when(REGISTER, other).then(NameTaken(name_key("stack", "s"), STACK))


def test_a_stack_needs_both_kinds_of_component_each_in_its_place() -> None:
    world = given(*COMPONENTS)
    world.when(RegisterStack(name="s", components={"orchestrator": "local"})).then(StackIncomplete(["artifact_store"]))
    world.when(RegisterStack(name="s", components={"orchestrator": "local", "artifact_store": "local"})).then(
        ComponentTypeMismatch(component="local", wanted="artifact_store", actual="orchestrator")
    )
    world.when(RegisterStack(name="s", components={"orchestrator": "local", "artifact_store": "x"})).then(
        EntityNotFound("component", "x")
    )


def test_only_what_differs_is_recorded() -> None:
    world = given(*first.stack("s"))
    world.when(UpdateStack(stack="s", name="s", description="d")).then(NewEvent(STACK, StackUpdated(description="d")))
    world.when(UpdateStack(stack="s", description="d")).then()


def test_deleting_and_restoring() -> None:
    world = given(*first.stack("s"))
    world.when(RestoreStack(stack="s")).then(NotDeleted(STACK))
    world.when(DeleteStack(stack="s")).then(NewEvent(STACK, StackDeleted()))
    assert world.claims(STACK) == set()
    world.when(DeleteStack(stack=str(STACK.id))).then(EntityNotFound("stack", str(STACK.id)))
    world.when(RestoreStack(stack=str(STACK.id))).then(NewEvent(STACK, StackRestored()))


def test_the_way_back() -> None:
    past, ref = State("s", HELD, "", {}), str(STACK.id)
    other = stream("component", "other").id
    now = State("t", HELD | {"orchestrator": other}, "", {}, deleted=True)
    components = {"orchestrator": str(LOCAL.id), "artifact_store": str(STORE.id)}
    assert restore(STACK, now, past) == [
        RestoreStack(stack=ref),
        UpdateStack(stack=ref, name="s", components=components),  # type: ignore[arg-type]
    ]
    assert restore(STACK, past, None) == [DeleteStack(stack=ref)]
    assert restore(STACK, now, None) == []
    assert restore(STACK, past, past) == []
