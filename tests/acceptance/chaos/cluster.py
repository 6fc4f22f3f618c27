"""Everline as a grown-up installation runs it: each program twice, and a proxy on every connection between them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from ledger.postgres.migrate import migrate
from ledger.signing import make_key_file
from runners.embedded import APP, DATABASE, LOOPBACK, OWNER, EmbeddedNats, EmbeddedPostgres, free_port
from runners.processes import Program
from tests.acceptance.chaos.processes import Process
from tests.acceptance.chaos.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = ("projector", "relay", "sealer")
SERVERS = ("postgres", "nats")
REPLICAS = ("a", "b")
GATEWAYS = tuple(f"gateway-{replica}" for replica in REPLICAS)
SIGNING_KEY = "run/signing.key"
SOCKET = ".s.PGSQL.5432"
CONNECT_SECONDS_MAX = 0.3
MAX_CONNECTIONS = "200"


class Cluster:
    """The programs by name, and the proxies by `program>server`; clients reach a gateway through `clients>gateway`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._postgres = EmbeddedPostgres(root, {"max_connections": MAX_CONNECTIONS})
        self._nats = EmbeddedNats(root)
        self.processes: dict[str, Process] = {}
        self.links: dict[str, Proxy] = {}
        self.gateway_urls: dict[str, str] = {}

    @property
    def dsn(self) -> str:
        """Straight to PostgreSQL, for those who check."""
        return self._postgres.dsn(OWNER, DATABASE)

    @property
    def nats_url(self) -> str:
        """Straight to NATS, for those who check."""
        return self._nats.url

    def dsn_of(self, program: str) -> str:
        """To PostgreSQL through the program's own proxy."""
        return f"host={self._socket_directory(program)} port=5432 user={APP} dbname={DATABASE}"

    async def start(self) -> None:
        """Everything, in the order in which it is needed; returns when all of it is ready."""
        (self.root / "run").mkdir()
        self._postgres.initialise()
        for server in (self._postgres.program(), self._nats.program()):
            await self._add(server)
        migrate(self.dsn)
        make_key_file(self.root / SIGNING_KEY)
        programs = [*GATEWAYS, *(f"{worker}-{replica}" for worker in WORKERS for replica in REPLICAS)]
        await asyncio.gather(*(self._add_program(name) for name in programs))

    async def stop(self) -> None:
        """Everything, the other way round."""
        for process in reversed(self.processes.values()):
            await process.stop()
        for link in self.links.values():
            await link.stop()

    async def all_ready(self) -> None:
        """Waits until every program runs."""
        for process in self.processes.values():
            await process.ready()

    def lose_nats_directory(self) -> None:
        """As if the broker's disk was replaced; NATS must be down."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.root / "nats")

    def backends(self) -> list[int]:
        """The pids of PostgreSQL's processes that serve our programs, oldest first."""
        postmaster = self.processes["postgres"].pid
        if postmaster is None:
            return []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(postmaster).children()
            return sorted(child.pid for child in children if f"{APP} {DATABASE}" in _title(child))
        return []

    async def link_to_postgres(self, program: str) -> None:
        """A proxy of its own for somebody who connects to PostgreSQL."""
        directory = self._socket_directory(program)
        directory.mkdir(parents=True)
        await self._link(f"{program}>postgres", Proxy(directory / SOCKET, self._socket()))

    async def link_to_nats(self, program: str) -> str:
        """The same for NATS; answers where to connect."""
        port = free_port()
        target = re.fullmatch(r"nats://(.*)@(.*):(\d+)", self.nats_url)
        assert target is not None
        await self._link(f"{program}>nats", Proxy((LOOPBACK, port), (target[2], int(target[3]))))
        return f"nats://{target[1]}@{LOOPBACK}:{port}"

    async def _add_program(self, name: str) -> None:
        kind = name.rpartition("-")[0]
        await self.link_to_postgres(name)
        environment = {**os.environ, "EVERLINE_DSN": self.dsn_of(name), "EVERLINE_DATA_DIR": str(self.root)}
        environment.pop("EVERLINE_OWNER_DSN", None)
        if name in GATEWAYS:
            await self._add_gateway(name, environment)
            return
        environment["EVERLINE_NATS_URL"] = await self.link_to_nats(name)
        environment["EVERLINE_SIGNER_KEY"] = str(self.root / SIGNING_KEY)
        await self._add(self._program(name, ("runners", kind), environment))

    async def _add_gateway(self, name: str, environment: dict[str, str]) -> None:
        inside, outside = free_port(), free_port()
        await self._link(f"clients>{name}", Proxy((LOOPBACK, outside), (LOOPBACK, inside)))
        self.gateway_urls[name] = f"http://{LOOPBACK}:{outside}"
        environment |= {"EVERLINE_HOST": LOOPBACK, "EVERLINE_PORT": str(inside)}
        await self._add(self._program(name, ("gateway",), environment, port=inside))

    def _program(
        self, name: str, words: tuple[str, ...], environment: dict[str, str], *, port: int | None = None
    ) -> Program:
        return Program(
            name=name,
            command=(sys.executable, "-P", "-m", *words),
            environment=environment,
            log_path=self.root / "logs" / f"{name}.log",
            is_ready=lambda _pid: port is None or _listens(port),
        )

    async def _add(self, program: Program) -> None:
        self.processes[program.name] = Process(program)
        await self.processes[program.name].start()

    async def _link(self, name: str, proxy: Proxy) -> None:
        self.links[name] = proxy
        await proxy.start()

    def _socket_directory(self, program: str) -> Path:
        return self.root / "links" / program

    def _socket(self) -> Path:
        return self.root / "postgres" / SOCKET


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), CONNECT_SECONDS_MAX).close()
    except OSError:
        return False
    return True


def _title(process: psutil.Process) -> str:
    """What PostgreSQL shows of a process of its own: who is connected to what."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
