"""The live stream of a workspace's events as server-sent events (WHATWG HTML, section 9.2).

Each event's id is its position, so a client that lost the connection resumes with Last-Event-ID and misses nothing.
A slow client holds at most one page of events here: nothing is read from the ledger before the last page was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import psycopg
import structlog
from starlette.responses import Response, StreamingResponse

from gateway.answers import POSITION_HEADER
from gateway.call import WORKSPACE, Call, integer, parameters, route
from gateway.problems import refused
from ledger.codec import public
from ledger.envelope import RecordedEvent
from ledger.errors import PositionBeyondHead, WorkspaceElsewhere
from ledger.postgres.follow import follow
from ledger.values import Position

HEARTBEAT_SECONDS = 15.0
STREAMS_MAX = 256
RECONNECT_MILLISECONDS = 2_000
EVENT_STREAM = "text/event-stream"
RESUME_HEADER = "Last-Event-ID"

log = structlog.get_logger(__name__)


async def stream_events(call: Call) -> Response:
    """Every event after a position, for ever; without one, every event from now on."""
    given = parameters(call, ("after",))
    resume = call.request.headers.get(RESUME_HEADER)
    if resume:
        given["after"] = resume
    after = integer(given, "after")
    head = (await call.services.reader.head(call.workspace_id)).position
    if after is None:
        after = head
    elif after > head:
        raise PositionBeyondHead(after, head=head)
    if call.services.wakeups.listeners >= STREAMS_MAX:
        raise refused(
            "too_many_streams",
            f"{STREAMS_MAX} live streams are open already",
            hint="close one, or ask for /events from time to time",
            streams_max=STREAMS_MAX,
        )
    headers = {POSITION_HEADER: str(after), "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type=EVENT_STREAM)
    return StreamingResponse(frames(call, after), headers=headers, media_type=EVENT_STREAM)


async def frames(call: Call, after: Position) -> AsyncIterator[bytes]:
    """The stream's bytes, until the client leaves, the program stops or PostgreSQL is away."""
    services = call.services
    yield b"retry: %d\n: after position %d\n\n" % (RECONNECT_MILLISECONDS, after)
    with services.wakeups.listening() as woken:
        batches = aiter(follow(services.reader, call.workspace_id, after=after, woken=woken))
        stopping = asyncio.ensure_future(services.stopping.wait())
        coming = asyncio.ensure_future(anext(batches))
        try:
            while not stopping.done():
                await asyncio.wait({coming, stopping}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    for event in coming.result():
                        yield frame(event)
                    coming = asyncio.ensure_future(anext(batches))
                elif not stopping.done():
                    yield b": still here\n\n"
        except (psycopg.OperationalError, WorkspaceElsewhere) as error:
            log.warning("stream.ended", reason=str(error))
            yield b": the ledger does not answer here, connect again\n\n"
        finally:
            for task in (coming, stopping):
                task.cancel()
                with suppress(asyncio.CancelledError, psycopg.OperationalError, WorkspaceElsewhere):
                    await task


def frame(event: RecordedEvent) -> bytes:
    """One event; its JSON holds no line break, so one data line carries it."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.position,
        event.type.encode(),
        msgspec.json.encode(public(event)),
    )


ROUTES = (route(f"{WORKSPACE}/stream", stream_events),)
