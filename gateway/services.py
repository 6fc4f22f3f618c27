"""What requests are served with: one `Services` for each PostgreSQL, made once by the composition root."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from psycopg_pool import AsyncConnectionPool

from commands.handler import CommandHandler
from commands.rollback_plan import RollbackPlanner
from gateway.authentication import Authenticator
from gateway.metrics import Metrics
from gateway.wakeups import Wakeups
from ledger.postgres.append import Appender
from ledger.postgres.read import LedgerReader
from projections.moments import Moments
from projections.projector import Projector
from projections.query import Queries


class Shared(NamedTuple):
    """What a gateway has once. `checking` admits one replay check at a time; `stopping` is set when the program ends,
    so that open streams end too; `witness_key` cosigns other deployments' checkpoints, never our own."""

    authenticator: Authenticator
    metrics: Metrics
    checking: asyncio.Lock
    stopping: asyncio.Event
    witness_key: Path | None


class Services(NamedTuple):
    """Everything below the routes for the workspaces on one PostgreSQL, and what the gateway has once."""

    alias: str
    pool: AsyncConnectionPool[Any]
    reader: LedgerReader
    appender: Appender
    handler: CommandHandler
    planner: RollbackPlanner
    queries: Queries
    moments: Moments
    projector: Projector
    wakeups: Wakeups
    authenticator: Authenticator
    metrics: Metrics
    checking: asyncio.Lock
    stopping: asyncio.Event
    witness_key: Path | None

    async def forget_broken_connections(self) -> None:
        """After an outage: one failed request replaces every dead connection, not only the one that it met."""
        await self.pool.check()
