"""The operator's commands on placements: they run to their end here, and say what they did. Nothing else needs to run
but the PostgreSQLs concerned."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TypeVar

import psycopg

from ledger.errors import LedgerError, MoveError
from ledger.placement import MAIN
from projections.errors import ProjectionError
from runners import move as moving
from runners import placements, presentation
from runners.data_directory import DataDirectory
from runners.embedded import APP, DATABASE, OWNER, EmbeddedPostgres
from runners.errors import MoveRefused
from runners.settings import PlacementSettings

T = TypeVar("T")


def move(
    data_dir: Path, settings: PlacementSettings, workspace: str, *, to: str, schema: str | None, drop_source: bool
) -> None:
    """Moves a workspace, telling each step. With `drop_source`, what it leaves is deleted at the end."""
    aliases, owners = _aliases(data_dir, settings), _owners(data_dir, settings)
    if drop_source and not aliases.keys() <= owners.keys():
        missing = ", ".join(sorted(aliases.keys() - owners.keys()))
        raise MoveRefused("owner_dsn_missing", f"--drop-source needs EVERLINE_OWNER_DSNS to name {missing} too")
    moved = _run(moving.move(aliases, workspace, to=to, schema=schema, told=presentation.print_line))
    presentation.print_line(
        f"workspace {workspace} moved from {moved.source} to {moved.target} at position {moved.position};"
        f" writers waited {moved.pause_seconds * 1000:.0f} ms"
    )
    if drop_source:
        _run(placements.drop(aliases, owners, str(moved.workspace_id), on=moved.source))
        presentation.print_line(f"what it left on {moved.source} was deleted")


def drop(data_dir: Path, settings: PlacementSettings, workspace: str, *, on: str) -> None:
    """Deletes what a move has left."""
    _run(placements.drop(_aliases(data_dir, settings), _owners(data_dir, settings), workspace, on=on))
    presentation.print_line(f"what workspace {workspace} left on {on} was deleted")


def show_placements(data_dir: Path, settings: PlacementSettings, *, as_json: bool) -> None:
    """Every PostgreSQL, reachable or not."""
    presentation.print_rows(_run(placements.listed(_aliases(data_dir, settings))), as_json=as_json)


def _aliases(data_dir: Path, settings: PlacementSettings) -> Mapping[str, str]:
    return settings.aliases(settings.dsn or _embedded(data_dir, APP))


def _owners(data_dir: Path, settings: PlacementSettings) -> Mapping[str, str]:
    """Of those whose owner is known. A home that the settings name has no owner in a data directory."""
    if settings.owner_dsn is None and settings.dsn is not None:
        return {alias: dsn for alias, dsn in settings.owners("").items() if alias != MAIN}
    return settings.owners(settings.owner_dsn or _embedded(data_dir, OWNER))


def _embedded(data_dir: Path, user: str) -> str:
    directory = DataDirectory(data_dir)
    if not directory.check():
        raise MoveRefused("ledger_unavailable", f"there is nothing in {data_dir}; set EVERLINE_DSN or --data-dir")
    return EmbeddedPostgres(directory.root).dsn(user, DATABASE)


def _run(work: Coroutine[object, object, T]) -> T:
    """Raises MoveRefused for everything that is expected, with its code."""
    try:
        return asyncio.run(_awaited(work))
    except MoveError as error:
        raise MoveRefused(error.code, str(error)) from error
    except LedgerError as error:
        raise MoveRefused("placement_unusable", str(error)) from error
    except ProjectionError as error:
        raise MoveRefused(error.code, f"the query tables cannot be built at the target: {error}") from error
    except TimeoutError as error:
        reason = f"the rest was not copied within {moving.PAUSE_SECONDS_MAX:.0f} s"
        raise MoveRefused("move_took_too_long", f"{reason}; the workspace stays where it was") from error
    except (psycopg.OperationalError, OSError) as error:
        raise MoveRefused("ledger_unavailable", f"a PostgreSQL does not answer: {error}") from error


async def _awaited(work: Coroutine[object, object, T]) -> T:
    return await work
