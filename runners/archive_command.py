"""`archive` and `restore-archive` as commands: moments are read, an absent PostgreSQL is said so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from ledger.errors import PositionBeyondHead
from runners import archive as program
from runners.errors import MomentBeyondHead, NotAMoment, PostgresAway

if TYPE_CHECKING:
    from ledger.postgres.archives import Archive
    from ledger.values import Position
    from runners.settings import ArchiveSettings

T = TypeVar("T")

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


def archive(settings: ArchiveSettings, workspace: str, *, before: str, url: str) -> list[Archive]:
    """Blocks until the positions left the log. Raises RunnerError and ArchiveError."""
    moment = _moment(before)
    try:
        return _run(program.archive(settings, workspace, before=moment, url=url))
    except PositionBeyondHead as error:
        raise MomentBeyondHead(str(error)) from None


def restore(settings: ArchiveSettings, ref: str) -> Archive:
    """Blocks until the positions are back. Raises RunnerError and ArchiveError."""
    return _run(program.restore(settings, ref))


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise PostgresAway(str(error)) from error


def _moment(text: str) -> Position | datetime:
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        raise NotAMoment(text) from None
