"""What a decider is made of: commands, the lookups it asks for, what was found, and the claims its states hold.

A decider is a module `commands/<kind>.py` with plain, synchronous, pure functions:

    State                                 a frozen struct; `deleted: bool` if the entity can be deleted
    COMMANDS                              the tuple of its command classes
    evolve(state | None, event) -> State
    claims(state) -> set of claim keys that an entity in this state holds
    lookups(command, found) -> name -> Lookup; asked again until it adds no new name
    decide(command, found) -> list of NewEvent, or a Rejection
    restore(stream, current, past) -> commands that bring `current` back to `past`   (only if it can be rolled back)
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple, Protocol
from uuid import UUID

import msgspec

from ledger.envelope import Event, NewEvent
from ledger.values import StreamId, Version

VERSION_NUMBER_DIGITS = 10


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A wish, in the imperative. `permission` names what the actor must be allowed to do."""

    permission: ClassVar[str]
    internal: ClassVar[bool] = False
    """Only programs submit it: it has no route."""


def command_name(command: type[Command]) -> str:
    """`RegisterStack` is `register-stack` in routes and batches."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", command.__name__).lower()


class Entity(NamedTuple):
    """An existing entity by id, unambiguous id prefix, or name (`parent@child` for versions).

    Unless `optional`, its absence rejects the command; a deleted entity counts as absent unless `deleted_too`.
    With `unfenced` only its existence matters: it may move on before the commit without refusing the append, so that
    a thousand metrics logged on a running run do not contend with its steps.
    """

    kind: str
    ref: str
    optional: bool = False
    deleted_too: bool = False
    unfenced: bool = False


class Fresh(NamedTuple):
    """The stream of an entity that the command is about to create; a missing id is made here.

    What is found has the state of that stream if it exists already: deciders answer what a repeat means.
    """

    kind: str
    id: UUID | None = None


class Holder(NamedTuple):
    """The entity that holds a claim, if any."""

    key: str


class LastClaim(NamedTuple):
    """The greatest claim key under a prefix, if any; the append refuses if it changes before the commit."""

    prefix: str


class Alias(NamedTuple):
    """A PostgreSQL that workspaces can be placed on. Its absence rejects the command."""

    name: str


Lookup = Entity | Fresh | Holder | LastClaim | Alias


class Found(NamedTuple):
    """The answer to one lookup: an entity's stream, its folded state and version; or, for `LastClaim`, a key."""

    stream: StreamId
    state: Any
    version: Version
    key: str | None = None


NOTHING = Found(StreamId("", UUID(int=0)), None, 0)
"""The answer to an optional lookup that found nothing."""


class Rejection(msgspec.Struct, frozen=True):
    """An expected refusal: a type with fields. Subclasses live in `rejections.py` and `run_rejections.py`."""

    code: ClassVar[str]

    def message(self) -> str:
        """What happened, to which thing."""
        raise TypeError(f"{type(self).__name__} has no message")

    def hint(self) -> str:
        """What to do next; empty when there is nothing useful to say."""
        return ""


Decided = list[NewEvent] | Rejection


class Decider(Protocol):
    """The shape of a decider module."""

    KIND: str
    COMMANDS: tuple[type[Command], ...]

    def evolve(self, state: Any, event: Event) -> Any: ...
    def claims(self, state: Any) -> set[str]: ...
    def lookups(self, command: Any, found: dict[str, Found]) -> dict[str, Lookup]: ...
    def decide(self, command: Any, found: dict[str, Found]) -> Decided: ...


def name_key(kind: str, name: str) -> str:
    """The claim on a name: unique per kind in a workspace."""
    return f"{kind}:{name}"


def child_key(kind: str, parent_id: UUID, child: str) -> str:
    """The claim on a name inside a parent: a stage, a version number."""
    return f"{kind}:{parent_id}:{child}"


def number_key(kind: str, parent_id: UUID, number: int) -> str:
    """The claim on a version number; numbers are padded so that the last claim is the highest."""
    return child_key(kind, parent_id, f"#{number:0{VERSION_NUMBER_DIGITS}d}")


def numbers_prefix(kind: str, parent_id: UUID) -> str:
    """The prefix of every `number_key` of a parent."""
    return child_key(kind, parent_id, "#")


def next_number(last: Found) -> int:
    """The number after the last claimed one, from a `LastClaim(numbers_prefix(...))`."""
    return int(last.key.rpartition("#")[2]) + 1 if last.key else 1
