"""What holds for every decider there is: the shape that the handler, the routes and the rollback rely on."""

from __future__ import annotations

from typing import Any

import pytest

from commands.changes import BrokenHistory
from commands.command import Rejection
from commands.registry import command_types, decider
from ledger.events.registry import aggregate_module, aggregates


@pytest.mark.parametrize("kind", aggregates())
def test_a_kind_can_be_rolled_back_or_says_why_not(kind: str) -> None:
    judge: Any = decider(kind)
    assert hasattr(judge, "restore") != hasattr(judge, "WHY_NOT_RESTORED")
    assert getattr(judge, "WHY_NOT_RESTORED", "A sentence.").endswith(".")


@pytest.mark.parametrize("kind", aggregates())
def test_a_history_that_starts_with_the_end_is_broken(kind: str) -> None:
    for event in aggregate_module(kind).EVENTS:
        if event.type.endswith((".deleted", ".restored", ".completed")) and not event.__struct_fields__:
            with pytest.raises(BrokenHistory):
                decider(kind).evolve(None, event())


def test_every_command_names_a_permission_on_a_kind() -> None:
    for name, (command, _) in command_types().items():
        kind, _, verb = command.permission.partition(":")
        assert kind in aggregates(), name
        assert verb, name


def test_rejections_have_their_own_codes() -> None:
    def below(parent: type[Any]) -> list[type[Any]]:
        return [each for child in parent.__subclasses__() for each in (child, *below(child))]

    codes = [rejection.code for rejection in below(Rejection) if hasattr(rejection, "code")]
    assert len(codes) == len(set(codes))
