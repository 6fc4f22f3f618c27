"""Restorations: recorded by `everline restore`, which writes one behind the history that it brings back. No command
makes one: nobody can claim that a ledger was restored."""

from __future__ import annotations

from typing import assert_never

import msgspec

from commands.changes import digest
from commands.command import Command, Decided, Found, Lookup
from ledger.events.restoration import KIND as KIND
from ledger.events.restoration import RestorationRecorded

WHY_NOT_RESTORED = "A restoration is where a history comes from; no change of it can be taken back."

COMMANDS: tuple[type[Command], ...] = ()


class State(msgspec.Struct, frozen=True):
    content: bytes


def evolve(state: State | None, event: RestorationRecorded) -> State:  # noqa: ARG001 - a single event
    match event:
        case RestorationRecorded():
            return State(digest(event))
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:  # noqa: ARG001 - see Decider
    """Nothing."""
    return set()


def lookups(command: Command, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    raise TypeError(f"{type(command).__name__} is no command of a {KIND}")


def decide(command: Command, found: dict[str, Found]) -> Decided:  # noqa: ARG001 - see Decider
    raise TypeError(f"{type(command).__name__} is no command of a {KIND}")
