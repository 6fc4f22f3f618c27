"""What the commands for backups say: lines for people, JSON for programs. What was left out is said loudly."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from rich.table import Table

from ledger.postgres.copy_out import Source
from runners.presentation import print_line

if TYPE_CHECKING:
    from uuid import UUID

    from ledger.backup.manifest import Manifest
    from ledger.values import Position
    from runners.backup.into import Done
    from runners.backup.key_files import Stored
    from runners.backup.making import Made
    from runners.backup.reading import Verified

CONNECT_SECONDS_MAX = 2


def made(done: Made, keys: Stored, place: str, *, as_json: bool) -> None:
    """A backup that was made."""
    manifest = done.manifest
    document = _summary(manifest) | {"events_added": done.events_added, "bytes_added": done.bytes_added}
    if as_json:
        return _print_json(document | {"keys": list(keys.files), "keys_to": keys.where or None})
    print_line(
        f"backup {manifest.number} in {place}: {_count(manifest.events, 'event')} of"
        f" {_count(len(manifest.workspaces), 'ledger')}, {done.events_added:,} of them written now"
        f" ({_size(done.bytes_added)})"
    )
    if keys.where:
        print_line(f"{_count(len(keys.files), 'key file')} in {keys.where}")
    elif keys.files:
        _warn(f"the key files are NOT in it: {', '.join(keys.files)}; keep them too, with --keys-to ANOTHER_PLACE")
    return None


def heads(dsn: str, manifests: list[Manifest]) -> dict[UUID, Position] | None:
    """Where the ledgers stand of which these are backups; None when PostgreSQL does not answer, or has others."""
    backed_up = manifests[-1].deployment if manifests else None
    try:
        with Source(f"{dsn} connect_timeout={CONNECT_SECONDS_MAX}" if "://" not in dsn else dsn) as source:
            running = source.deployment()
            if running is None or backed_up is None or running.id != backed_up.id:
                return None
            return {head.workspace_id: head.position for head in source.heads()}
    except psycopg.OperationalError:
        return None


def listed(manifests: list[Manifest], now: dict[UUID, Position] | None, *, as_json: bool) -> None:
    """The backups, newest last, and what would be lost now."""
    lost = _unsaved(manifests[-1], now) if manifests and now is not None else None
    if as_json:
        return _print_json({"items": [_summary(manifest) for manifest in manifests], "events_not_backed_up": lost})
    table = Table(box=None, pad_edge=False)
    for heading in ("BACKUP", "MADE", "AGE", "LEDGERS", "EVENTS", "EVERLINE"):
        table.add_column(heading)
    for manifest in manifests:
        made_at = f"{manifest.made_at:%Y-%m-%dT%H:%M:%SZ}"
        row = (manifest.number, made_at, _age(manifest), len(manifest.workspaces), manifest.events, manifest.everline)
        table.add_row(*map(str, row))
    Console(highlight=False, soft_wrap=True).print(table)
    if lost is not None:
        print_line(f"a crash now would lose {_count(lost, 'event')}: those since backup {manifests[-1].number}")
    elif manifests:
        print_line(f"what was recorded since backup {manifests[-1].number} is in no backup")
    return None


def verified(manifest: Manifest, found: Verified, *, as_json: bool) -> None:
    """A backup that is whole."""
    if as_json:
        return _print_json(_summary(manifest) | {"objects": found.objects, "size_bytes": found.size_bytes})
    print_line(
        f"backup {manifest.number} is whole: {_count(found.events, 'event')} hash to their leaves and to the tree of"
        f" each of {_count(len(manifest.workspaces), 'ledger')}; {found.objects:,} objects, {_size(found.size_bytes)}"
    )
    return None


def restored(done: Done, into: str, *, as_json: bool) -> None:
    """A restore that is finished."""
    events = sum(ledger.position for ledger in done.ledgers)
    left_out = sum(ledger.backed_up - ledger.position for ledger in done.ledgers)
    if as_json:
        ledgers = [
            {"workspace": str(one.workspace_id), "position": one.position, "backed_up": one.backed_up}
            for one in done.ledgers
        ]
        return _print_json(_summary(done.manifest) | {"restored": ledgers, "events_restored": events})
    print_line(
        f"restored {_count(events, 'event')} of {_count(len(done.ledgers), 'ledger')} from backup"
        f" {done.manifest.number} into {into}, each checked"
    )
    if left_out:
        print_line(f"{_count(left_out, 'event')} of the backup are beyond the point and left out")
    made_at = f"{done.manifest.made_at:%Y-%m-%dT%H:%M:%SZ}"
    print_line(f"what was recorded after {made_at} ({_age(done.manifest)} ago) is not in this backup")
    if done.keys is not None:
        print_line(f"{_count(len(done.keys.files), 'key file')} in {done.keys.where}")
    print_line("the query tables are built at the next start; artifacts are files of their own, bring them back too")
    return None


def replayed(heads: dict[UUID, Position], into: str, *, as_json: bool) -> None:
    """A PostgreSQL that was brought back from its log."""
    if as_json:
        return _print_json({"positions": {str(workspace): position for workspace, position in heads.items()}})
    print_line(
        f"replayed the log into {into} up to its last commit: {_count(sum(heads.values()), 'event')} of"
        f" {_count(len(heads), 'ledger')}"
    )
    print_line("the archive ends here: start with another --wal-archive, or without one")
    return None


def _unsaved(newest: Manifest, now: dict[UUID, Position]) -> int:
    known = {workspace.id: workspace.position for workspace in newest.workspaces}
    return sum(position - known.get(workspace_id, 0) for workspace_id, position in now.items())


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "backup": manifest.number,
        "made_at": manifest.made_at.isoformat(),
        "age_seconds": round((datetime.now(UTC) - manifest.made_at).total_seconds(), 1),
        "everline": manifest.everline,
        "ledgers": len(manifest.workspaces),
        "events": manifest.events,
        "positions": {str(workspace.id): workspace.position for workspace in manifest.workspaces},
    }


def _age(manifest: Manifest) -> str:
    return str(timedelta(seconds=int((datetime.now(UTC) - manifest.made_at).total_seconds())))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))
