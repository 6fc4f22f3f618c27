"""Ids that this process makes: what is named before it is sent can be sent again without being done twice."""

from __future__ import annotations

import uuid

NAMESPACE = uuid.UUID("6d1f3a52-8c0e-5b7d-9a44-e7e411e0c0de")
"""Namespace of ids derived from content (UUIDv5); servers use the same, so both derive the same id."""


def new_id() -> str:
    """A UUIDv7: unique, and in the order of creation."""
    import uuid_utils

    return str(uuid_utils.uuid7())


def derived_id(*parts: str) -> str:
    """The same parts always give the same id."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))
