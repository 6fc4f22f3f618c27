"""Every decider and command. The kinds come from the ledger's vocabulary; each has the file of the same name here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from commands.command import command_name
from ledger.events.registry import aggregates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from commands.command import Command, Decider

CONTROL_KINDS = frozenset({"archive", "person", "workspace"})
"""Kinds whose events live in the control ledger; every other kind lives in a workspace's."""


@cache
def decider(kind: str) -> Decider:
    """The decider of one kind of entity."""
    module = cast("Decider", import_module(f"commands.{kind}"))
    if kind != module.KIND:
        raise TypeError(f"commands/{kind}.py decides for {module.KIND!r}")
    return module


@cache
def command_types() -> Mapping[str, tuple[type[Command], Decider]]:
    """Every command by its name in routes and batches, with the decider that answers it."""
    return MappingProxyType(
        {command_name(command): (command, decider(kind)) for kind in aggregates() for command in decider(kind).COMMANDS}
    )


@cache
def public_command_types() -> Mapping[str, tuple[type[Command], Decider]]:
    """Those that clients may submit."""
    return MappingProxyType({name: known for name, known in command_types().items() if not known[0].internal})


def is_control(kind: str) -> bool:
    """Whether this kind belongs to the control ledger."""
    return kind in CONTROL_KINDS
