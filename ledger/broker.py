"""Names and settings that the relay and its consumers share: the JetStream stream, its subjects and message ids.

JetStream carries copies for speed. It is never the record: it may lose its disk, its messages or its life.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

import nats
from nats.errors import Error as NatsError
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from ledger.placement import MAIN

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from ledger.envelope import Envelope
    from ledger.values import Position

STREAM_AGE_SECONDS_MAX = 24 * 3600
STREAM_BYTES_MAX = 1 << 30
DUPLICATE_WINDOW_SECONDS = 120
CONNECT_TIMEOUT_SECONDS = 2
CONNECT_RETRY_SECONDS = 0.2
CLOSE_TIMEOUT_SECONDS = 1
LEAF_HEADER = "Everline-Leaf"
MESSAGE_ID_HEADER = "Nats-Msg-Id"


def stream(alias: str) -> str:
    """The stream of one PostgreSQL; the home's has the name from when there was no other."""
    return "EVERLINE" if alias == MAIN else f"EVERLINE_{alias}"


def subjects(alias: str) -> str:
    """Everything of one PostgreSQL."""
    return f"everline.{alias}.>"


def subject(event: Envelope, *, alias: str) -> str:
    """`everline.<alias>.<workspace>.<aggregate>.<event>`: what consumers filter by."""
    return f"everline.{alias}.{event.workspace_id.hex}.{event.type}"


def workspace_of(subject: str) -> UUID:
    """Whose event a message of this subject carries."""
    return UUID(subject.split(".")[2])


def message_id(workspace_id: UUID, *, epoch: int, position: Position) -> str:
    """The broker drops a second message with the same id inside its duplicate window."""
    return f"{workspace_id.hex}:{epoch}:{position}"


async def connect(urls: str, *, name: str) -> Client:
    """One connection to one server of the list (separated by commas), in no particular order; it ends when it is lost:
    whoever uses it starts again and looks at what it missed.

    Raises nats errors, OSError and TimeoutError.
    """
    return await nats.connect(
        [url.strip() for url in urls.split(",")],
        name=name,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        allow_reconnect=False,
        # Each server twice, then whoever wants the connection is told: the library's default is two minutes.
        max_reconnect_attempts=1,
        reconnect_time_wait=CONNECT_RETRY_SECONDS,
        error_cb=_told_where_it_was_made,
    )


async def close(client: Client) -> None:
    """Gives a connection up. What it still held is in the ledger, so nothing is waited for."""
    with suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await client.close()


async def _told_where_it_was_made(error: Exception) -> None:
    """Every failed call raises where it was made; the library's default would print the same again."""


async def drop_stream(jetstream: JetStreamContext, *, alias: str) -> None:
    """Gives up a stream that takes nothing any more, as one that met a full disk does; it holds only copies. Where the
    broker cannot even do that, it is tried again by whoever comes next."""
    with suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await jetstream.delete_stream(stream(alias))


async def ensure_stream(jetstream: JetStreamContext, *, alias: str, replicas: int = 1) -> bool:
    """Creates the stream if it is not there, and gives it as many replicas as asked for. True if it was created, so
    that its past has to be told again."""
    try:
        info = await jetstream.stream_info(stream(alias))
    except NotFoundError:
        await jetstream.add_stream(
            StreamConfig(
                name=stream(alias),
                subjects=[subjects(alias)],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                max_age=STREAM_AGE_SECONDS_MAX,
                max_bytes=STREAM_BYTES_MAX,
                duplicate_window=DUPLICATE_WINDOW_SECONDS,
                num_replicas=replicas,
            )
        )
        return True
    if info.config.num_replicas != replicas:
        await jetstream.update_stream(info.config.evolve(num_replicas=replicas))
    return False
