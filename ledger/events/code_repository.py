"""A code repository: where the source of pipelines is kept, so that a snapshot can name the commit it came from."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "code_repository"


class CodeRepositoryRegistered(Event, frozen=True):
    """`provider` is one of github, gitlab, git; `url` never holds credentials."""

    type: ClassVar[str] = "code_repository.registered"

    name: str
    provider: str
    url: str
    description: str = ""


class CodeRepositoryUpdated(Event, frozen=True):
    """Fields that did not change are absent."""

    type: ClassVar[str] = "code_repository.updated"

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class CodeRepositoryDeleted(Event, frozen=True):
    type: ClassVar[str] = "code_repository.deleted"


class CodeRepositoryRestored(Event, frozen=True):
    """A deleted repository is back with what it held when it was deleted."""

    type: ClassVar[str] = "code_repository.restored"


EVENTS = (CodeRepositoryRegistered, CodeRepositoryUpdated, CodeRepositoryDeleted, CodeRepositoryRestored)
