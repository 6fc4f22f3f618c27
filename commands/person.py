"""People: registered under a handle and an address of their own, held for the law, erased for ever."""

from __future__ import annotations

from typing import Annotated, ClassVar, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from commands.changes import creation, differing, existing, set_fields, updated
from commands.command import Command, Decided, Entity, Found, Fresh, Lookup, name_key
from commands.fields import Name, Ref
from commands.rejections import NoSuchHold, PersonIsErased, ReasonNamesPerson, UnderLegalHold
from ledger.envelope import NewEvent
from ledger.events.person import (
    KIND,
    PersonErased,
    PersonHoldPlaced,
    PersonHoldReleased,
    PersonRegistered,
    PersonUpdated,
)
from ledger.personal import ERASED

WHY_NOT_RESTORED = "What is known of a person changes by its own commands, and an erasure is final."
REASON_LENGTH_MAX = 1_000
EMAIL_LENGTH_MAX = 254
NAMED_LENGTH_MIN = 3
"""A name, handle or address shorter than this may stand in a reason by chance."""

Handle = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        description="1 to 64 of a-z 0-9 . _ - beginning with a letter or digit",
    ),
]
DisplayName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^(?!\[erased\]$)[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$",
        description="1 to 200 characters without control characters, no space at either end",
    ),
]
Email = Annotated[
    str,
    Meta(
        max_length=EMAIL_LENGTH_MAX,
        pattern=r"^$|^[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+$",
        description="an address with one @, or nothing",
    ),
]
Reason = Annotated[str, Meta(max_length=REASON_LENGTH_MAX, pattern=r"^(?!\[erased\]$)[^\x00]*$")]
ErasureReason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        pattern=r"^[^\x00]*\S[^\x00]*$",
        description="why; it stays readable, so it must not name the person",
    ),
]


class RegisterPerson(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "person:create"

    id: UUID | None = None
    handle: Handle
    name: DisplayName
    email: Email = ""


class UpdatePerson(Command, frozen=True, kw_only=True):
    """Absent fields stay as they are."""

    permission: ClassVar[str] = "person:update"

    person: Ref
    handle: Handle | UnsetType = UNSET
    name: DisplayName | UnsetType = UNSET
    email: Email | UnsetType = UNSET


class PlaceLegalHold(Command, frozen=True, kw_only=True):
    """Several matters may hold a person at once; `matter` is a case number and must not name the person."""

    permission: ClassVar[str] = "person:hold"

    person: Ref
    matter: Name
    reason: Reason = ""


class ReleaseLegalHold(Command, frozen=True, kw_only=True):
    permission: ClassVar[str] = "person:hold"

    person: Ref
    matter: Name
    reason: Reason = ""


class ErasePerson(Command, frozen=True, kw_only=True):
    """Destroys what is known of a person, at every moment of the past too. Nothing brings it back."""

    permission: ClassVar[str] = "person:erase"

    person: Ref
    reason: ErasureReason


COMMANDS = (RegisterPerson, UpdatePerson, PlaceLegalHold, ReleaseLegalHold, ErasePerson)
PersonCommand = RegisterPerson | UpdatePerson | PlaceLegalHold | ReleaseLegalHold | ErasePerson
PersonEvent = PersonRegistered | PersonUpdated | PersonHoldPlaced | PersonHoldReleased | PersonErased


class State(msgspec.Struct, frozen=True):
    """After an erasure the texts read as erased, also those of holds that were released long before."""

    handle: str
    name: str
    email: str
    holds: dict[str, str] = {}
    erased: bool = False


def evolve(state: State | None, event: PersonEvent) -> State:
    match event:
        case PersonRegistered():
            return State(event.handle, event.name, event.email)
        case PersonUpdated():
            return updated(existing(state, event), event)
        case PersonHoldPlaced():
            before = existing(state, event)
            return msgspec.structs.replace(before, holds={**before.holds, event.matter: event.reason})
        case PersonHoldReleased():
            before = existing(state, event)
            kept = {matter: reason for matter, reason in before.holds.items() if matter != event.matter}
            return msgspec.structs.replace(before, holds=kept)
        case PersonErased():
            return msgspec.structs.replace(existing(state, event), erased=True)
        case _:
            assert_never(event)


def claims(state: State) -> set[str]:
    """Its handle and its address, in lower case; an erased person holds nothing, also where a restored ledger has not
    come to the erasure."""
    if state.erased:
        return set()
    return {name_key(KIND, text.casefold()) for text in (state.handle, state.email) if text not in {"", ERASED}}


def lookups(command: PersonCommand, found: dict[str, Found]) -> dict[str, Lookup]:  # noqa: ARG001 - see Decider
    match command:
        case RegisterPerson():
            return {KIND: Fresh(KIND, command.id)}
        case UpdatePerson() | PlaceLegalHold() | ReleaseLegalHold() | ErasePerson():
            return {KIND: Entity(KIND, command.person)}
        case _:
            assert_never(command)


def decide(command: PersonCommand, found: dict[str, Found]) -> Decided:
    person, state = found[KIND].stream, found[KIND].state
    match command:
        case RegisterPerson():
            event = PersonRegistered(**set_fields(command, leaving="id"))
            return creation(found[KIND], event, evolve=evolve)
        case ErasePerson():
            return _decide_erasure(command, found[KIND])
        case _ if state.erased:
            return PersonIsErased(person)
        case UpdatePerson():
            changed = differing(state, set_fields(command, leaving=KIND))
            return [NewEvent(person, PersonUpdated(**changed))] if changed else []
        case PlaceLegalHold():
            placed = PersonHoldPlaced(matter=command.matter, reason=command.reason)
            return [] if state.holds.get(command.matter) == command.reason else [NewEvent(person, placed)]
        case ReleaseLegalHold():
            if command.matter not in state.holds:
                return NoSuchHold(person, matter=command.matter, matters=sorted(state.holds))
            return [NewEvent(person, PersonHoldReleased(matter=command.matter, reason=command.reason))]
        case _:
            assert_never(command)


def _decide_erasure(command: ErasePerson, found: Found) -> Decided:
    state: State = found.state
    if state.erased:
        return []
    if state.holds:
        return UnderLegalHold(found.stream, matters=sorted(state.holds))
    reason = command.reason.casefold()
    known = [text.casefold() for text in (state.handle, state.name, state.email) if len(text) >= NAMED_LENGTH_MIN]
    if any(text in reason for text in known):
        return ReasonNamesPerson(found.stream)
    return [NewEvent(found.stream, PersonErased(reason=command.reason))]
