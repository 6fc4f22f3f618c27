"""A person: whom accounts, roles and actors are about. Everything else names people by reference, `person/<id>`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event
from ledger.personal import Personal

KIND = "person"


class PersonRegistered(Event, frozen=True):
    type: ClassVar[str] = "person.registered"

    handle: Personal
    name: Personal
    email: Personal = ""


class PersonUpdated(Event, frozen=True):
    """Fields that did not change are absent."""

    type: ClassVar[str] = "person.updated"

    handle: Personal | UnsetType = UNSET
    name: Personal | UnsetType = UNSET
    email: Personal | UnsetType = UNSET


class PersonHoldPlaced(Event, frozen=True):
    """The law wants this person's data kept: nothing of it may be erased before the hold is released."""

    type: ClassVar[str] = "person.hold_placed"

    matter: str
    reason: Personal = ""


class PersonHoldReleased(Event, frozen=True):
    type: ClassVar[str] = "person.hold_released"

    matter: str
    reason: Personal = ""


class PersonErased(Event, frozen=True):
    """The key is destroyed: every personal field of this stream reads as erased, for ever and at every moment. The
    reason stays readable."""

    type: ClassVar[str] = "person.erased"
    erases: ClassVar[bool] = True

    reason: str


EVENTS = (PersonRegistered, PersonUpdated, PersonHoldPlaced, PersonHoldReleased, PersonErased)
