"""A proxy in front of one server for one client program: where a network is cut without touching either end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

CHUNK_BYTES = 64 * 1024
HALF_OPEN_SECONDS_MAX = 20.0
"""How long a swallowed connection stays open at the end that did not give it up, as if keepalives found out then."""

Address = Path | tuple[str, int]
"""A Unix socket, or a host and a port."""


class Side(StrEnum):
    """The two ends of a connection."""

    CLIENT = "client"
    SERVER = "server"


class Link:
    """One connection through the proxy."""

    def __init__(self, writers: dict[Side, asyncio.StreamWriter], flowing: asyncio.Event) -> None:
        self._writers = writers
        self._flowing = flowing
        self._ended: set[asyncio.StreamWriter] = set()
        self.is_swallowed = False

    async def pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carries bytes one way until that side ends; a swallowed link carries nothing, not even the end."""
        while chunk := await source.read(CHUNK_BYTES):
            await self._flowing.wait()
            if not self.is_swallowed and target not in self._ended:
                target.write(chunk)
                await target.drain()
        if self.is_swallowed:
            await asyncio.sleep(HALF_OPEN_SECONDS_MAX)
            self.abort()
        else:
            await self._flowing.wait()
            self._end(target)

    def abort(self) -> None:
        """Both ends see the connection reset."""
        for writer in self._writers.values():
            writer.transport.abort()

    def half_close(self, side: Side) -> None:
        """This end is told that the other one will not send any more."""
        self._end(self._writers[side])

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if writer not in self._ended and not writer.is_closing():
            self._ended.add(writer)
            writer.write_eof()


class Proxy:
    """Listens at one address and carries every connection to another."""

    def __init__(self, listen: Address, target: Address) -> None:
        self._listen = listen
        self._target = target
        self._links: set[Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._swallowing = False

    async def start(self) -> None:
        """Accepts connections from now on."""
        if isinstance(self._listen, Path):
            self._server = await asyncio.start_unix_server(self._accepted, self._listen)
        else:
            self._server = await asyncio.start_server(self._accepted, *self._listen)

    async def stop(self) -> None:
        """Ends every connection."""
        self._server.close()
        self.drop()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def drop(self) -> None:
        """Resets every connection; new ones are carried."""
        for link in self._links:
            link.abort()

    def half_close(self, side: Side) -> None:
        """Tells one end of every connection that the other one is done."""
        for link in self._links:
            link.half_close(side)

    def stall(self) -> None:
        """Holds every byte back, of new connections too, until `heal`."""
        self._flowing.clear()

    def swallow(self) -> None:
        """Loses every byte until `heal`; the connections of that time never work again and are told nothing."""
        self._swallowing = True
        for link in self._links:
            link.is_swallowed = True

    def heal(self) -> None:
        """Carries again what comes."""
        self._swallowing = False
        self._flowing.set()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()  # the server is away: its client sees what it would see without a proxy
            return
        link = Link({Side.CLIENT: writer, Side.SERVER: server_writer}, self._flowing)
        link.is_swallowed = self._swallowing
        self._links.add(link)
        try:
            with suppress(OSError):
                await asyncio.gather(link.pump(reader, server_writer), link.pump(server_reader, writer))
        finally:
            self._links.discard(link)
            link.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)
