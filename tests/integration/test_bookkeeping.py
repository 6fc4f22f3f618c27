"""The projectors' own tables: made once, brought up to date from an older program's, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from projections.checkpoints import create_tables
from tests.support.ledgers import OpenLedger, open_ledger
from tests.support.servers import Database

SECONDS_MAX = 10.0
OLDER = """
CREATE SCHEMA projections;
CREATE TABLE projections.checkpoints (
    workspace_id uuid PRIMARY KEY, version text NOT NULL, position bigint NOT NULL, recorded_at timestamptz
);
INSERT INTO projections.checkpoints VALUES (gen_random_uuid(), 'older', 7, now());
"""


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[OpenLedger]:
    async with open_ledger(database.app_dsn) as opened:
        yield opened


async def test_those_of_an_older_program_are_brought_up_to_date(ledger: OpenLedger) -> None:
    async with ledger.pool.connection() as connection:
        await connection.execute(OLDER)
    await asyncio.gather(*(create_tables(ledger.pool) for _ in range(3)))
    async with ledger.pool.connection() as connection:
        cursor = await connection.execute("SELECT position, rate, schema FROM projections.checkpoints")
        assert await cursor.fetchall() == [(7, 0.0, None)]
        assert await (await connection.execute("SELECT * FROM projections.stops")).fetchall() == []


async def test_a_start_does_not_wait_for_whoever_uses_them(ledger: OpenLedger) -> None:
    await create_tables(ledger.pool)
    async with ledger.pool.connection() as busy, busy.transaction():
        await busy.execute("SELECT * FROM projections.checkpoints FOR UPDATE")
        await asyncio.wait_for(create_tables(ledger.pool), SECONDS_MAX)
