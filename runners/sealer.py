"""The sealer program: signs a checkpoint of every ledger that moved, about once a second. Several may run.

A ledger that contradicts what was signed is refused and said so in the log again and again; a signer that does not
answer is waited for like any dependency that is away.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.placement import MAIN
from ledger.postgres.migrate import check_schema
from ledger.proof_errors import SignerFailed
from ledger.sealing import Sealer
from ledger.signing import KeyFile, Signer, SignerCommand
from runners import worker

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    from runners.settings import SealerSettings


def main(settings: SealerSettings) -> None:
    """Runs the sealer until it is told to stop. Blocks."""
    worker.main(partial(run, settings))


async def run(settings: SealerSettings) -> None:
    await worker.on_each(settings.aliases(), partial(_seal, settings))


async def _seal(settings: SealerSettings, alias: str, dsn: str) -> None:
    """One PostgreSQL's ledgers, for ever. Each has a log and a name of its own."""
    name = settings.deployment_name
    if name is not None and alias != MAIN:
        name = f"{name}-{alias}"
    async with worker.connections(dsn) as pool:
        once = partial(_seal_until_lost, settings, pool, name)
        await worker.again_and_again(f"sealer {alias}", pool, once, away=(*worker.AWAY, SignerFailed))


async def _seal_until_lost(settings: SealerSettings, pool: AsyncConnectionPool[Any], name: str | None) -> None:
    """Works while PostgreSQL and the signer are there; raises what was lost."""
    await check_schema(pool)
    sealer = Sealer(pool, signer(settings), name=name)
    await sealer.start()
    while True:
        await sealer.seal()
        await asyncio.sleep(settings.seal_seconds)


def signer(settings: SealerSettings) -> Signer:
    """The external command if there is one, else the key file. Raises SignerFailed."""
    if settings.signer_command is not None:
        return SignerCommand(settings.signer_command)
    if settings.signer_key is None:
        raise ValueError("the sealer needs EVERLINE_SIGNER_KEY or EVERLINE_SIGNER_COMMAND")
    return KeyFile(settings.signer_key)
