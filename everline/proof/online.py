"""Checks a running server by its proofs alone: signatures, what was seen before, the newest event of every ledger, and
that no workspace of the deployment's own log is missing. Reads a few kilobytes per workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everline.calls import Call
from everline.errors import Refused
from everline.proof.log import Log
from everline.proof.verify import (
    Broken,
    Key,
    grow,
    leaf_hash,
    proves_inclusion,
    root_of_frontier,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everline.client import Client
    from everline.proof.remembered import Remembered

PAGE = 500
ENTRIES_FIRST_MAX = 10_000
"""Entries of the deployment's log that are read when nothing is remembered; idle workspaces before them are checked by
the server's list only, and by the full check."""

GONE = frozenset({"not_sealed_yet", "workspace_not_found"})
"""What a server answers for a log that it once sealed and does not have any more."""


def check_server(client: Client, remembered: Remembered) -> list[dict[str, Any]]:
    """A row for each log, broken ones with their code and position. The memory is changed, not yet saved."""
    own = Log(client, None)
    try:
        key = remembered.key(own.key())
        latest = _own_log(own, key, remembered)
    except Broken as broken:
        return [row("deployment", 0, broken)]
    rows = [row(key.name, latest.pop(key.name))]
    listed = {each["origin"]: each["is_here"] for each in logs_of(client)}
    placed = {f"{key.name}/{each.id}": False for each in client.workspaces.list()}
    for origin, is_here in sorted({**placed, **dict.fromkeys(latest, True), **listed}.items()):
        log, logged = Log.of(client, origin, deployment=key.name), latest.get(origin, 0)
        try:
            its_key = key.named(origin) if is_here else _key_elsewhere(log, key)
            size = _workspace_log(log, its_key, remembered, logged=logged) if its_key else 0
        except Broken as broken:
            rows.append(row(origin, 0, broken))
        else:
            if size:
                rows.append(row(origin, size))
    return rows


def _key_elsewhere(log: Log, key: Key) -> Key | None:
    """Under which name a workspace on another PostgreSQL is sealed, with the same key. None when it never was."""
    try:
        shown = log.key()
    except Refused as refused:
        if refused.code not in GONE:
            raise
        return None
    if shown.public_key != key.public_key:
        raise Broken("signing_key_changed", f"{shown.name} is sealed with another key than {key.name}")
    return shown


def row(origin: str, size: int, broken: Broken | None = None) -> dict[str, Any]:
    """One log of the answer."""
    found = {"log": origin, "sealed": size, "code": None, "position": None, "last_position": None, "detail": None}
    if broken is None:
        return found
    where = {"position": broken.position, "last_position": broken.last or broken.position}
    return {**found, **where, "code": broken.code, "detail": broken.message}


def _own_log(log: Log, key: Key, remembered: Remembered) -> dict[str, int]:
    """The size of every workspace that is remembered or that the deployment's log names, and of that log itself.

    Reads what is new since this machine looked, or the last ENTRIES_FIRST_MAX. The frontier that the entries are added
    to is the server's word, but no other one leads to the root that was signed."""
    seen = remembered.seen(key.name)
    shown = log.checkpoint()
    shown.verify(key)
    remembered.follow(log, shown)
    start = seen.size if seen else max(0, shown.size - ENTRIES_FIRST_MAX)
    frontier = log.frontier(start)
    sizes = {origin: size for origin, size in remembered.sizes().items() if origin.startswith(key.name + "/")}
    if len(frontier) == start.bit_count():
        for number, entry, _ in log.entries(start + 1, shown.size, size=shown.size):
            grow(frontier, number - 1, leaf_hash(entry))
            origin, size = _named(entry)
            sizes[origin] = max(size, sizes.get(origin, 0))
    if root_of_frontier(frontier) != shown.root:
        raise Broken("history_rewritten", "the entries of the deployment's log are not what was signed", position=1)
    return {**sizes, key.name: shown.size}


def _named(entry: bytes) -> tuple[str, int]:
    """Which workspace an entry of the deployment's log is of, and at which size."""
    try:
        origin, size, _ = entry.decode().split("\n", 2)
        return origin, int(size)
    except ValueError:
        raise Broken("checkpoint_malformed", "an entry of the deployment's log is no checkpoint") from None


def _workspace_log(log: Log, key: Key, remembered: Remembered, *, logged: int) -> int:
    """The size that verified; 0 when nothing was ever sealed."""
    try:
        shown = log.checkpoint()
    except Refused as refused:
        if refused.code not in GONE:
            raise
        if not logged:
            return 0
        raise Broken("event_missing", f"size {logged} was sealed, and now there is none", position=1) from refused
    shown.verify(key)
    if shown.size < logged:
        raise Broken(
            "event_missing", f"size {logged} was sealed, the log ends at {shown.size}", position=shown.size + 1
        )
    remembered.follow(log, shown)
    [(position, entry, _)] = list(log.entries(shown.size, shown.size, size=shown.size))
    leaf, proof = log.inclusion(position, shown.size)
    if leaf_hash(entry) != leaf or not proves_inclusion(leaf, position - 1, shown.size, proof, shown.root):
        raise Broken("event_changed", f"the event at position {position} is not what was sealed", position=position)
    return shown.size


def logs_of(client: Client) -> Iterator[dict[str, Any]]:
    """Every workspace's log that was ever sealed, as the server lists them."""
    cursor = None
    while True:
        params = {"limit": PAGE} if cursor is None else {"limit": PAGE, "cursor": cursor}
        page = client.send(Call("GET", "/v1/log/workspaces", dict, params, repeatable=True))
        yield from (each for each in page["items"] if each["size"])
        cursor = page["next"]
        if cursor is None:
            return
