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
from ledger.placement import MAIN
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

EVENTS_PER_READ_MAX = 500
"""Events of one workspace that are read before the next workspace has its turn."""

NET_SECONDS = 1.0
"""How often all heads are compared: the net under a message or a wake-up that never comes."""

BROKER_GRACE_SECONDS = 0.015
"""How long a commit's message may take through the broker before the event is read from PostgreSQL. Longer and the
slowest hundredth would wait for it; what comes after all is dropped."""

ATTACH_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Subscription:
    """Follows every ledger of one PostgreSQL; `batches` yields contiguous events of one workspace at a time."""

    def __init__(self, reader: LedgerReader, *, dsn: str, nats_url: str | None, alias: str = MAIN) -> None:
        self._alias = alias
        self._reader = reader
        self._dsn = dsn
        self._nats_url = nats_url
        self._positions: dict[UUID, Position] = {}
        self._inbox: dict[UUID, dict[Position, RecordedEvent]] = {}
        self._inbox_size = 0
        self._behind: set[UUID] = set()
        self._paused: set[UUID] = set()
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

    def pause(self, workspace_id: UUID) -> None:
        """Delivers nothing more of this workspace: whoever follows it is behind, and reads it from PostgreSQL."""
        self._paused.add(workspace_id)

    def resume(self, workspace_id: UUID, position: Position) -> None:
        """Delivers it again, from the event after this position."""
        self._paused.discard(workspace_id)
        self._positions[workspace_id] = position
        self._behind.add(workspace_id)
        self._woken.set()

    def _from_inbox(self) -> Iterator[list[RecordedEvent]]:
        """The contiguous runs that the broker delivered; a workspace with a hole is read from PostgreSQL."""
        inbox, self._inbox, self._inbox_size = self._inbox, {}, 0
        for workspace_id, events in inbox.items():
            if workspace_id in self._paused:
                continue
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
            position = self._positions.get(workspace_id, 0)
            if position >= head or workspace_id in self._paused:
                continue
            events = await self._reader.read(workspace_id, after=position, until=head, limit=EVENTS_PER_READ_MAX)
            if position + len(events) < head:
                self._behind.add(workspace_id)  # a batch for each workspace, then the next for those with more
                self._woken.set()
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
            broker.subjects(self._alias), ordered_consumer=True, deliver_policy=DeliverPolicy.NEW, cb=self._take
        )
        self._attached = True
        while client.is_connected:
            await asyncio.sleep(ATTACH_RETRY_SECONDS)
            await jetstream.stream_info(broker.stream(self._alias))

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
        if event.workspace_id in self._paused or event.position <= self._positions.get(event.workspace_id, 0):
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
