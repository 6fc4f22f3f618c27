"""A command on its way in (`Submission`) and its answer (`Receipt`)."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from uuid import UUID

import msgspec

from commands.command import Command, Rejection
from commands.registry import command_types, public_command_types
from commands.rejections import InvalidCommand, UnknownCommand
from ledger.values import Position, Version

BATCH_MAX = 500
"""Commands in one batch."""


class Submission(msgspec.Struct, frozen=True):
    """A decoded command with its client-made id. `request_hash` tells a repeat from a reused id; `expected_version`
    is the caller's `If-Match`; `occurred_at` is when it happened, if the client sends it later."""

    name: str
    command: Command
    command_id: UUID
    request_hash: bytes
    expected_version: Version | None = None
    occurred_at: datetime | None = None


class EventRef(msgspec.Struct, frozen=True):
    """Where an event of an answered command stands."""

    position: Position
    type: str
    stream: str
    version: Version


class Receipt(msgspec.Struct, frozen=True):
    """The answer to an accepted command, the same for every repeat of it. `last_position < first_position` means
    that nothing had to change; `position` is what to wait for to read one's own write."""

    command_id: UUID
    kind: str
    id: UUID
    version: Version
    first_position: Position
    last_position: Position
    position: Position
    repeated: bool
    events: list[EventRef]


def decode(
    name: str,
    body: bytes | msgspec.Raw,
    *,
    command_id: UUID,
    expected_version: Version | None = None,
    occurred_at: datetime | None = None,
) -> Submission | Rejection:
    """The submission that a request's JSON body stands for, or why it is none."""
    known = public_command_types().get(name)
    if known is None:
        return UnknownCommand(name, close=difflib.get_close_matches(name, public_command_types(), n=3))
    try:
        command = msgspec.json.decode(body, type=known[0])
    except msgspec.ValidationError as error:
        return InvalidCommand(name, reason=str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return InvalidCommand(name, reason=f"the body is not JSON: {error}")
    try:
        occurred_at = occurred_at and occurred_at.astimezone(UTC)
    except OverflowError:
        return InvalidCommand(name, reason="occurred_at is outside of the years 1 to 9999 in UTC")
    return submission(command, command_id=command_id, expected_version=expected_version, occurred_at=occurred_at)


def submission(
    command: Command,
    *,
    command_id: UUID,
    expected_version: Version | None = None,
    occurred_at: datetime | None = None,
) -> Submission:
    """A submission of a command that was made here."""
    name = _names()[type(command)]
    content = msgspec.json.encode(command, order="sorted")
    return Submission(
        name=name,
        command=command,
        command_id=command_id,
        request_hash=sha256(name.encode() + b"\x00" + content).digest(),
        expected_version=expected_version,
        occurred_at=occurred_at,
    )


@cache
def _names() -> dict[type[Command], str]:
    return {command: name for name, (command, _) in command_types().items()}
