"""Every table of the ledger's schema, and how a backup keeps it. A table that is missing here fails a test."""

from __future__ import annotations

from typing import NamedTuple


class Log(NamedTuple):
    """Kept in segments by position: the log itself, and the commands that wrote it."""

    table: str


class Checkpoints(NamedTuple):
    """What was signed of each ledger: rows are only ever added, with growing sizes, and a backup adds the new ones. A
    restored deployment keeps them as those of another one, which it witnessed."""

    table: str


class Whole(NamedTuple):
    """Small and changing: every backup copies it."""

    table: str


class Newest(NamedTuple):
    """Kept only as it is now: a backup removes from its place what those before it kept, and a restore of any of them
    takes the newest. For keys that are destroyed: no old backup may bring one back."""

    table: str


class Derived(NamedTuple):
    """Not kept: a restore makes it from the log, or does without."""

    table: str
    how: str


TABLES: tuple[Log | Checkpoints | Whole | Newest | Derived, ...] = (
    Log("events"),
    Log("commands"),
    Derived("heads", "the last event says where a ledger stands; the Merkle frontier is computed from the leaves"),
    Derived("streams", "the highest version of each stream's events"),
    Derived("claims", "what the deciders say that the streams' states hold; compared with a digest of the table"),
    Derived("relays", "a restored ledger gets an epoch that no ledger before it had"),
    Checkpoints("signed_checkpoints"),
    Derived("deployment", "a restored deployment is another one to witnesses; the manifest names the one before"),
    Derived("deployment_entries", "a restored deployment begins a log of its own"),
    Derived("tiles", "the sealer computes them from the leaves"),
    Derived("seal_refusals", "the sealer finds anew what it refuses"),
    Newest("subject_keys"),
    Derived("archives", "a restored ledger holds every position itself; the files stay in their object store"),
    Derived("archived_streams", "as for archives"),
    Whole("witnessed_deployments"),
    Whole("witnessed_checkpoints"),
    Whole("refused_checkpoints"),
)


def newest() -> tuple[str, ...]:
    """The tables of which only the newest copy may exist."""
    return tuple(table.table for table in TABLES if isinstance(table, Newest))


def whole() -> tuple[str, ...]:
    """The tables that backups copy."""
    return tuple(table.table for table in TABLES if isinstance(table, Whole))
