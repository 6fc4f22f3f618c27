"""The sealer program: signs a checkpoint of every ledger that moved, about once a second. Several may run.

A ledger that contradicts what was signed is refused and said so in the log again and again; a signer that does not
answer is waited for like any dependency that is away.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

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
    async with worker.connections(settings.dsn) as pool:
        once = partial(_seal_until_lost, settings, pool)
        await worker.again_and_again("sealer", once, away=(*worker.AWAY, SignerFailed))


async def _seal_until_lost(settings: SealerSettings, pool: AsyncConnectionPool[Any]) -> None:
    """Works while PostgreSQL and the signer are there; raises what was lost."""
    sealer = Sealer(pool, signer(settings), name=settings.deployment_name)
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
