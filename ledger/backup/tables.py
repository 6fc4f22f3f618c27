"""Every table of the ledger's schema, and how a backup keeps it. A table that is missing here fails a test."""

from __future__ import annotations

from typing import NamedTuple


class Log(NamedTuple):
    """Kept in segments by position: the log itself, and the commands that wrote it."""

    table: str


class Growing(NamedTuple):
    """Rows are only ever added, and within a workspace `key` (a bigint that stands for a position) only grows: a
    backup adds the rows that are new. A restore to an earlier position leaves out the rows beyond it."""

    table: str
    key: str


class Whole(NamedTuple):
    """Small and changing: every backup copies it."""

    table: str


class Derived(NamedTuple):
    """Not kept: a restore makes it from the log, or does without."""

    table: str
    how: str


TABLES: tuple[Log | Growing | Whole | Derived, ...] = (
    Log("events"),
    Log("commands"),
    Derived("heads", "the last event says where a ledger stands; the Merkle frontier is computed from the leaves"),
    Derived("streams", "the highest version of each stream's events"),
    Derived("claims", "what the deciders say that the streams' states hold; compared with a digest of the table"),
    Derived("relays", "a restored ledger gets an epoch that no ledger before it had"),
)


def growing() -> tuple[Growing, ...]:
    """The tables that backups add to."""
    return tuple(table for table in TABLES if isinstance(table, Growing))


def whole() -> tuple[Whole, ...]:
    """The tables that backups copy."""
    return tuple(table for table in TABLES if isinstance(table, Whole))
