"""A lean HTTP client for load: keep-alive connections whose requests are bytes made beforehand.

An ordinary client costs as much CPU as the gateway that it asks; on two cores it would be what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Answer(NamedTuple):
    """An HTTP answer, the body still as bytes."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body of a good answer; anything else fails the bench."""
        assert self.status == 200, f"{self.status}: {self.body[:500]!r}"
        return msgspec.json.decode(self.body)


class Connection(asyncio.Protocol):
    """One request at a time. Knows answers with a Content-Length only, which is what the measured servers send."""

    def __init__(self, host: str) -> None:
        self._host = host.encode()
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.find(LENGTH)
        assert at > 0, f"an answer without a length: {head!r}"
        length = int(head[at + len(LENGTH) :].partition(b"\r\n")[0])
        body = self._received[end + len(HEAD_END) :]
        if len(body) >= length and self._answer is not None:
            answer, self._answer, self._received = self._answer, None, b""
            answer.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(exc or ConnectionResetError("the server closed the connection"))

    async def get(self, path: str) -> Answer:
        return await self._send(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), self._host))

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items()).encode()
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
        return await self._send(head % (path.encode(), self._host, len(body), extra) + body)

    async def _send(self, request: bytes) -> Answer:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connected(url: str, connections: int) -> AsyncIterator[list[Connection]]:
    """So many connections to one server."""
    where = urlsplit(url)
    opened = [
        (
            await asyncio.get_running_loop().create_connection(
                lambda: Connection(where.netloc), where.hostname, where.port
            )
        )[1]
        for _ in range(connections)
    ]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()
