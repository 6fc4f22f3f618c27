"""Following a deployment's ledgers without missing anything: JetStream for speed, PostgreSQL for truth.

An event is delivered if it is the next position of its workspace. What was delivered before is dropped; a hole, a
lost stream or a silent broker is filled from PostgreSQL. Nothing but latency depends on NATS.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js.api import DeliverPolicy

from ledger import broker
from ledger.codec import from_canonical
from ledger.errors import LedgerError, SealedEvent
from ledger.postgres.read import READ_LIMIT_MAX
from ledger.postgres.wake import wakeups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from uuid import UUID

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from ledger.envelope import RecordedEvent
    from ledger.postgres.read import LedgerReader
    from ledger.values import Position

INBOX_MAX = 5_000
"""Messages that may wait here; beyond it they are dropped and their positions are read from PostgreSQL."""

NET_SECONDS = 1.0
"""How often all heads are compared: the net under a message or a wake-up that never comes."""

BROKER_GRACE_SECONDS = 0.1
"""How long a commit's message may take through the broker before the event is read from PostgreSQL."""

ATTACH_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Subscription:
    """Follows every ledger of one PostgreSQL; `batches` yields contiguous events of one workspace at a time."""

    def __init__(self, reader: LedgerReader, *, dsn: str, nats_url: str | None) -> None:
        self._reader = reader
        self._dsn = dsn
        self._nats_url = nats_url
        self._positions: dict[UUID, Position] = {}
        self._inbox: dict[UUID, dict[Position, RecordedEvent]] = {}
        self._inbox_size = 0
        self._behind: set[UUID] = set()
        self._look_at_all = True
        self._woken = asyncio.Event()
        self._attached = False
        self._failure: BaseException | None = None

    async def batches(self, positions: dict[UUID, Position]) -> AsyncIterator[list[RecordedEvent]]:
        """Events after these positions (a workspace that is not named starts at 0), for ever.

        Raises what PostgreSQL raises; the caller starts again from its checkpoints.
        """
        self._positions = dict(positions)
        tasks = [self._spawn(self._watch_postgres())]
        if self._nats_url:
            tasks.append(self._spawn(self._watch_broker(self._nats_url)))
        try:
            self._woken.set()
            while True:
                await self._woken.wait()
                self._woken.clear()
                if self._failure is not None:
                    raise self._failure
                for batch in self._from_inbox():
                    yield batch
                async for batch in self._from_postgres():
                    yield batch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _from_inbox(self) -> Iterator[list[RecordedEvent]]:
        """The contiguous runs that the broker delivered; a workspace with a hole is read from PostgreSQL."""
        inbox, self._inbox, self._inbox_size = self._inbox, {}, 0
        for workspace_id, events in inbox.items():
            run: list[RecordedEvent] = []
            position = self._positions.get(workspace_id, 0) + 1
            while event := events.get(position):
                run.append(event)
                position += 1
            if run:
                yield self._advanced(run)
            if max(events) >= position:
                self._behind.add(workspace_id)

    async def _from_postgres(self) -> AsyncIterator[list[RecordedEvent]]:
        """What the broker did not deliver in time."""
        behind, self._behind = self._behind, set()
        look_at_all, self._look_at_all = self._look_at_all, False
        heads = await self._reader.heads(None if look_at_all else behind) if look_at_all or behind else {}
        for workspace_id, head in heads.items():
            while (position := self._positions.get(workspace_id, 0)) < head:
                events = await self._reader.read(workspace_id, after=position, until=head, limit=READ_LIMIT_MAX)
                yield self._advanced(events)

    def _advanced(self, batch: list[RecordedEvent]) -> list[RecordedEvent]:
        self._positions[batch[-1].workspace_id] = batch[-1].position
        return batch

    async def _watch_postgres(self) -> None:
        async for workspaces in wakeups(self._dsn, timeout_seconds=NET_SECONDS):
            if self._attached and workspaces:
                await asyncio.sleep(BROKER_GRACE_SECONDS)
            self._behind |= workspaces
            self._look_at_all = self._look_at_all or not workspaces
            self._woken.set()

    async def _watch_broker(self, url: str) -> None:
        while True:
            try:
                client = await broker.connect(url, name="everline-subscription")
            except (NatsError, OSError, TimeoutError) as error:
                log.info("subscription.broker_away", reason=str(error))
            else:
                try:
                    await self._receive(client)
                except (NatsError, TimeoutError) as error:
                    log.info("subscription.broker_lost", reason=str(error))
                finally:
                    self._attached = False
                    await broker.close(client)
            await asyncio.sleep(ATTACH_RETRY_SECONDS)

    async def _receive(self, client: Client) -> None:
        """Takes what the broker pushes until the stream or the connection is gone."""
        jetstream = client.jetstream()
        await jetstream.subscribe(
            broker.SUBJECTS, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW, cb=self._take
        )
        self._attached = True
        while client.is_connected:
            await asyncio.sleep(ATTACH_RETRY_SECONDS)
            await jetstream.stream_info(broker.STREAM)

    async def _take(self, message: Msg) -> None:
        try:
            event = from_canonical(message.data, leaf_hash=bytes.fromhex((message.headers or {})[broker.LEAF_HEADER]))
        except SealedEvent:
            self._behind.add(broker.workspace_of(message.subject))  # the keys lie beside the log, so it is read there
            self._woken.set()
            return
        except (LedgerError, msgspec.MsgspecError, KeyError, ValueError) as error:
            log.warning("subscription.unreadable_message", subject=message.subject, reason=str(error))
            self._look_at_all = True  # the log has it too, and whoever reads it there says what is wrong
            self._woken.set()
            return
        if event.position <= self._positions.get(event.workspace_id, 0):
            return
        if self._inbox_size >= INBOX_MAX:
            self._behind.add(event.workspace_id)
        else:
            self._inbox.setdefault(event.workspace_id, {})[event.position] = event
            self._inbox_size += 1
        self._woken.set()

    def _spawn(self, watcher: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(watcher)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A watcher never ends by itself: if one does, the follower must not go on half deaf."""
        if not task.cancelled():
            self._failure = task.exception()
            self._woken.set()
