"""The command handler on a real ledger: repeats, races, stale knowledge, batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from commands.command import Rejection
from commands.pipeline import DeletePipeline, RegisterPipeline, UpdatePipeline
from commands.rejections import (
    BatchAborted,
    CommandIdReused,
    EntityNotFound,
    NameTaken,
    StaleVersion,
    WrongLedger,
)
from commands.submission import Receipt, submission
from commands.tag import CreateTag
from commands.workspace import CreateWorkspace
from ledger.values import CONTROL_WORKSPACE, new_id
from tests.support.handling import ACTOR, Handling, open_handling
from tests.support.servers import Database


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Handling]:
    async with open_handling(database.app_dsn) as handling:
        yield handling


@pytest.fixture
async def there(database: Database, here: Handling) -> AsyncIterator[Handling]:
    """Another process that serves the same workspace."""
    async with open_handling(database.app_dsn, here.workspace_id) as handling:
        yield handling


def codes(answers: list[Any]) -> list[str]:
    return [answer.code if isinstance(answer, Rejection) else "ok" for answer in answers]


async def test_a_repeat_gets_the_first_answer(here: Handling) -> None:
    command, command_id = RegisterPipeline(name="digits"), new_id()
    first = await here.accept(command, id=command_id)
    again = await here.accept(command, id=command_id)
    assert again.repeated
    assert (again.id, again.version, again.events) == (first.id, first.version, first.events)
    assert await here.position() == 1


async def test_a_repeat_gets_the_first_answer_from_another_process_and_after_the_state_moved(
    here: Handling, there: Handling
) -> None:
    command, command_id = RegisterPipeline(name="digits"), new_id()
    first = await here.accept(command, id=command_id)
    await here.accept(DeletePipeline(pipeline="digits"))
    again = await there.accept(command, id=command_id)
    assert (again.repeated, again.id, again.version) == (True, first.id, 1)


async def test_a_command_that_races_itself_acts_once(here: Handling, there: Handling) -> None:
    command, command_id = RegisterPipeline(name="digits"), new_id()
    answers = await asyncio.gather(*(who.accept(command, id=command_id) for who in [here, there] * 8))
    assert len({answer.id for answer in answers}) == 1
    assert await here.position() == 1


async def test_the_same_command_id_with_another_content_is_refused(here: Handling) -> None:
    command_id = new_id()
    await here.accept(RegisterPipeline(name="digits"), id=command_id)
    answer = await here.answer(RegisterPipeline(name="letters"), id=command_id)
    assert isinstance(answer, CommandIdReused)
    assert await here.position() == 1


async def test_two_clients_registering_one_name_leave_one_holder_who_is_named(here: Handling, there: Handling) -> None:
    answers = await asyncio.gather(*(who.answer(RegisterPipeline(name="digits")) for who in [here, there] * 5))
    winners = [answer for answer in answers if isinstance(answer, Receipt)]
    refused = [answer for answer in answers if isinstance(answer, NameTaken)]
    assert (len(winners), len(refused)) == (1, 9)
    assert {refusal.holder.id for refusal in refused} == {winners[0].id}
    assert await here.position() == 1


async def test_decisions_on_a_stale_fold_are_taken_again(here: Handling, there: Handling) -> None:
    await here.accept(RegisterPipeline(name="digits"))
    await there.accept(UpdatePipeline(pipeline="digits", description="theirs"))
    receipt = await here.accept(UpdatePipeline(pipeline="digits", description="mine"))
    assert receipt.version == 3


async def test_contended_updates_all_succeed(here: Handling, there: Handling) -> None:
    pipeline = str((await here.accept(RegisterPipeline(name="digits"))).id)
    updates = [UpdatePipeline(pipeline=pipeline, description=str(number)) for number in range(40)]
    await asyncio.gather(*([here, there][number % 2].accept(update) for number, update in enumerate(updates)))
    assert await here.position() == 41


async def test_if_match_refuses_a_stale_version(here: Handling) -> None:
    await here.accept(RegisterPipeline(name="digits"))
    await here.accept(UpdatePipeline(pipeline="digits", description="x"), expected_version=1)
    answer = await here.answer(UpdatePipeline(pipeline="digits", description="y"), expected_version=1)
    assert isinstance(answer, StaleVersion)
    assert answer.actual == 2


async def test_a_change_that_changes_nothing_is_accepted_without_events(here: Handling) -> None:
    await here.accept(RegisterPipeline(name="digits", description="x"))
    command_id = new_id()
    receipt = await here.accept(UpdatePipeline(pipeline="digits", description="x"), id=command_id)
    assert receipt.last_position < receipt.first_position
    again = await here.accept(UpdatePipeline(pipeline="digits", description="x"), id=command_id)
    assert (again.repeated, again.version, again.events) == (True, 1, [])
    assert await here.position() == 1


async def test_a_refused_command_of_an_atomic_batch_refuses_all(here: Handling) -> None:
    answers = await here.batch(
        RegisterPipeline(name="a"), UpdatePipeline(pipeline="missing", description="x"), RegisterPipeline(name="b")
    )
    assert [type(answer) for answer in answers] == [BatchAborted, EntityNotFound, BatchAborted]
    assert await here.position() == 0


async def test_a_loose_batch_does_what_it_can_in_order(here: Handling) -> None:
    answers = await here.batch(
        RegisterPipeline(name="a"),
        UpdatePipeline(pipeline="missing", description="x"),
        UpdatePipeline(pipeline="a", description="sees the first"),
        RegisterPipeline(name="b"),
        atomic=False,
    )
    assert codes(answers) == ["ok", "not_found", "ok", "ok"]
    assert await here.position() == 3


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_name_taken_inside_one_batch(here: Handling, atomic: bool) -> None:
    answers = await here.batch(
        RegisterPipeline(name="a"), RegisterPipeline(name="a"), RegisterPipeline(name="b"), atomic=atomic
    )
    expected = ["batch_aborted", "name_taken", "batch_aborted"] if atomic else ["ok", "name_taken", "ok"]
    assert codes(answers) == expected
    assert await here.position() == (0 if atomic else 2)


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_name_that_another_holds_refuses_its_own_command(here: Handling, atomic: bool) -> None:
    await here.accept(RegisterPipeline(name="held"))
    answers = await here.batch(RegisterPipeline(name="a"), RegisterPipeline(name="held"), atomic=atomic)
    assert codes(answers) == (["batch_aborted", "name_taken"] if atomic else ["ok", "name_taken"])


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_command_id_twice_in_one_batch_is_refused_by_name(here: Handling, atomic: bool) -> None:
    command_id = new_id()
    sent = [submission(RegisterPipeline(name=name), command_id=command_id) for name in ("a", "b")]
    answers = await here.handler.submit(here.workspace_id, sent, actor=ACTOR, atomic=atomic)
    assert codes(answers) == (["batch_aborted", "command_id_reused"] if atomic else ["ok", "command_id_reused"])
    assert await here.position() == (0 if atomic else 1)


async def test_a_name_freed_in_a_batch_can_be_taken_in_it(here: Handling) -> None:
    await here.accept(RegisterPipeline(name="a"))
    answers = await here.batch(DeletePipeline(pipeline="a"), RegisterPipeline(name="a"))
    assert codes(answers) == ["ok", "ok"]


async def test_commands_belong_to_their_ledger(here: Handling) -> None:
    assert isinstance(await here.answer(CreateWorkspace(name="w")), WrongLedger)
    control = Handling(here.ledger, CONTROL_WORKSPACE)
    assert isinstance(await control.answer(CreateTag(name="t")), WrongLedger)
    receipt = await control.accept(CreateWorkspace(name="team"))
    assert await here.handler.workspace_id("team") == receipt.id
    assert await here.handler.workspace_id(str(receipt.id)) == receipt.id
    assert await here.handler.workspace_id("control") == CONTROL_WORKSPACE
    assert await here.handler.workspace_id("nobody") is None


async def test_names_ids_and_unambiguous_prefixes_are_accepted(here: Handling) -> None:
    receipt = await here.accept(RegisterPipeline(name="digits"))
    for number, ref in enumerate(["digits", str(receipt.id), str(receipt.id)[:13], receipt.id.hex[:20]]):
        await here.accept(UpdatePipeline(pipeline=ref, description=str(number)))
    assert isinstance(await here.answer(UpdatePipeline(pipeline="digit", description="x")), EntityNotFound)
