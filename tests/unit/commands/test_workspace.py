"""Workspaces: created once, under a name for ever."""

from __future__ import annotations

from commands.command import name_key
from commands.rejections import NameTaken, ReservedName
from commands.workspace import CreateWorkspace, UpdateWorkspace
from ledger.envelope import NewEvent
from ledger.events.workspace import WorkspaceCreated, WorkspaceUpdated
from tests.support import first_events as first
from tests.support.deciding import given, stream

TEAM = stream("workspace", "team")


def test_a_life() -> None:
    world = given()
    create = CreateWorkspace(id=TEAM.id, name="team")
    world.when(create).then(NewEvent(TEAM, WorkspaceCreated(name="team")))
    world.when(create).then()
    world.when(UpdateWorkspace(workspace="team", description="d")).then(
        NewEvent(TEAM, WorkspaceUpdated(description="d"))
    )
    world.when(UpdateWorkspace(workspace="team", description="d")).then()


def test_names_are_unique_and_control_is_not_one() -> None:
    given(first.workspace("team")).when(CreateWorkspace(name="team")).then(
        NameTaken(name_key("workspace", "team"), TEAM)
    )
    given().when(CreateWorkspace(name="control")).then(ReservedName("workspace", "control"))
