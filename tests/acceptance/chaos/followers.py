"""Readers of everything: each must see every position once and in order, whatever breaks between it and the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import msgspec
import psycopg

from ledger.postgres.connecting import make_pool
from ledger.postgres.read import LedgerReader
from ledger.subscription import Subscription

if TYPE_CHECKING:
    from tests.acceptance.chaos.model import Model

SILENCE_SECONDS_MAX = 17.0
"""A live stream that is silent for longer than its heartbeat is dead."""

AGAIN_SECONDS = 0.2


class StreamFollower:
    """A client of one gateway's live stream of one workspace."""

    def __init__(self, name: str, url: str, model: Model) -> None:
        self.name = name
        self.ids: list[str] = []
        self._url = url
        self._model = model

    async def follow(self) -> None:
        """For ever: connects again whenever the stream ends, after the last position it has."""
        timeout = httpx2.Timeout(SILENCE_SECONDS_MAX, connect=5)
        async with httpx2.AsyncClient(timeout=timeout) as client:
            while True:
                try:
                    await self._listen(client)
                except (httpx2.TransportError, httpx2.HTTPStatusError):
                    self._model.counts["streams lost"] += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", self._url, params={"after": len(self.ids)}) as response:
            if response.status_code >= 500:
                return
            assert response.status_code == 200, response.status_code
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    self._take(msgspec.json.decode(line.removeprefix("data: ")))

    def _take(self, event: dict[str, Any]) -> None:
        if event["position"] != len(self.ids) + 1:
            self._model.find(f"{self.name}: position {event['position']} came after {len(self.ids)}")
        self.ids.append(event["event_id"])


class SubscriptionFollower:
    """A program that follows every ledger as the projector does: from JetStream, with PostgreSQL under it."""

    def __init__(self, dsn: str, nats_url: str, model: Model) -> None:
        self.ids: dict[UUID, list[UUID]] = {}
        self._dsn = dsn
        self._nats_url = nats_url
        self._model = model

    async def follow(self) -> None:
        """For ever: starts again after what it has whenever PostgreSQL is lost."""
        pool = make_pool(self._dsn, size_max=4, wait_seconds_max=5)
        async with pool:
            while True:
                try:
                    await self._listen(LedgerReader(pool))
                except (psycopg.OperationalError, OSError):
                    self._model.counts["subscriptions lost"] += 1
                    await pool.check()
                await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, reader: LedgerReader) -> None:
        subscription = Subscription(reader, dsn=self._dsn, nats_url=self._nats_url)
        async for batch in subscription.batches({workspace: len(ids) for workspace, ids in self.ids.items()}):
            for event in batch:
                ids = self.ids.setdefault(event.workspace_id, [])
                if event.position != len(ids) + 1:
                    self._model.find(f"subscription: position {event.position} came after {len(ids)}")
                ids.append(event.event_id)
