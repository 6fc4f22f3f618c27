"""A model: what a team promises to keep good, and the facts that govern its use."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "model"


class ModelRegistered(Event, frozen=True):
    type: ClassVar[str] = "model.registered"

    name: str
    description: str = ""
    license: str = ""
    audience: str = ""
    use_cases: str = ""
    limitations: str = ""
    trade_offs: str = ""
    ethics: str = ""


class ModelUpdated(Event, frozen=True):
    """Fields that did not change are absent."""

    type: ClassVar[str] = "model.updated"

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    license: str | UnsetType = UNSET
    audience: str | UnsetType = UNSET
    use_cases: str | UnsetType = UNSET
    limitations: str | UnsetType = UNSET
    trade_offs: str | UnsetType = UNSET
    ethics: str | UnsetType = UNSET


class ModelDeleted(Event, frozen=True):
    type: ClassVar[str] = "model.deleted"


class ModelRestored(Event, frozen=True):
    """A deleted model is back with what it held when it was deleted."""

    type: ClassVar[str] = "model.restored"


EVENTS = (ModelRegistered, ModelUpdated, ModelDeleted, ModelRestored)
