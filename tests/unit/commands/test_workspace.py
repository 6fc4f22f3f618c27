"""Workspaces: created once, under a name for ever; placed, and moved with exactly one end."""

from __future__ import annotations

from commands.command import name_key
from commands.rejections import AlreadyPlaced, MoveRunning, NameTaken, NoSuchMove, ReservedName, UnknownAlias
from commands.workspace import (
    AbandonWorkspaceMove,
    CreateWorkspace,
    PlaceWorkspace,
    StartWorkspaceMove,
    UpdateWorkspace,
)
from ledger.envelope import NewEvent
from ledger.events.workspace import (
    WorkspaceCreated,
    WorkspaceMoveAbandoned,
    WorkspaceMoveStarted,
    WorkspacePlaced,
    WorkspaceUpdated,
)
from ledger.values import derived_id
from tests.support import first_events as first
from tests.support.deciding import ALIASES, given, stream

TEAM = stream("workspace", "team")
MOVE, OTHER = derived_id("tests", "move"), derived_id("tests", "another move")
START = StartWorkspaceMove(workspace="team", move_id=MOVE, alias="eu")


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


def test_a_workspace_is_created_where_it_is_wanted() -> None:
    create = CreateWorkspace(id=TEAM.id, name="team", alias="eu", pool_schema="pool")
    world = (
        given()
        .when(create)
        .then(
            NewEvent(TEAM, WorkspaceCreated(name="team")),
            NewEvent(TEAM, WorkspacePlaced(alias="eu", pool_schema="pool")),
        )
    )
    world.when(create).then()
    given().when(CreateWorkspace(name="team", alias="mars")).then(UnknownAlias(alias="mars", known=sorted(ALIASES)))


def test_a_move_is_started_and_ended_once() -> None:
    started = NewEvent(TEAM, WorkspaceMoveStarted(move_id=MOVE, alias="eu"))
    placed = NewEvent(TEAM, WorkspacePlaced(alias="eu", move_id=MOVE))
    world = given(first.workspace("team")).when(START).then(started)
    world.when(PlaceWorkspace(workspace="team", move_id=MOVE)).then(placed)
    world.when(PlaceWorkspace(workspace="team", move_id=MOVE)).then(NoSuchMove(MOVE))
    world.when(AbandonWorkspaceMove(workspace="team", move_id=MOVE)).then(NoSuchMove(MOVE))


def test_a_move_that_was_given_up_cannot_end() -> None:
    world = (
        given(first.workspace("team"))
        .when(START, AbandonWorkspaceMove(workspace="team", move_id=MOVE))
        .then(NewEvent(TEAM, WorkspaceMoveAbandoned(MOVE)))
    )
    world.when(PlaceWorkspace(workspace="team", move_id=MOVE)).then(NoSuchMove(MOVE))


def test_one_move_at_a_time_and_never_to_where_it_is() -> None:
    again = StartWorkspaceMove(workspace="team", move_id=OTHER, alias="us")
    world = given(first.workspace("team"), NewEvent(TEAM, WorkspaceMoveStarted(move_id=MOVE, alias="eu")))
    world.when(again).then(MoveRunning("team", alias="eu"))
    instead = StartWorkspaceMove(workspace="team", move_id=OTHER, alias="us", instead_of=MOVE)
    world.when(instead).then(NewEvent(TEAM, WorkspaceMoveStarted(move_id=OTHER, alias="us")))
    world.when(PlaceWorkspace(workspace="team", move_id=MOVE)).then(NoSuchMove(MOVE))
    here = StartWorkspaceMove(workspace="team", move_id=MOVE, alias="main")
    given(first.workspace("team")).when(here).then(AlreadyPlaced("team", alias="main"))
    there = StartWorkspaceMove(workspace="team", move_id=MOVE, alias="mars")
    given(first.workspace("team")).when(there).then(UnknownAlias(alias="mars", known=sorted(ALIASES)))
