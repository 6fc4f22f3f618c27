"""The small values everything else is made of: ids, streams, moments. Words as in the README's glossary."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

import uuid_utils.compat

Position = int
"""Gap-free, commit-ordered number of an event inside its workspace; the first event is 1, an empty ledger is at 0."""

Version = int
"""Number of an event inside its stream, from 1; 0 means that the stream does not exist."""

JsonObject = dict[str, Any]

CONTROL_WORKSPACE = uuid.UUID(int=0)
"""The control ledger of the organization: workspaces, and later people, teams and roles."""

NAMESPACE = uuid.UUID("6d1f3a52-8c0e-5b7d-9a44-e7e411e0c0de")
"""Namespace of every id that Everline derives from content (UUIDv5)."""

ACTOR_LENGTH_MAX = 200


class StreamId(NamedTuple):
    """One entity's sequence of events, written `kind/id`."""

    kind: str
    id: uuid.UUID

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


def new_id() -> uuid.UUID:
    """A UUIDv7: unique, and in the order of creation, so that indexes stay warm."""
    return uuid_utils.compat.uuid7()


def derived_id(*parts: object) -> uuid.UUID:
    """The same parts always give the same id: used where two programs must agree without asking."""
    return uuid.uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


def utc_now() -> datetime:
    """The clock of composition roots; everything below takes times as arguments."""
    return datetime.now(UTC)
