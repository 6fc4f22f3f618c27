"""A NATS cluster of three on this machine, whose servers a test may kill one by one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runners.embedded import LOOPBACK, _nats_server, free_port, is_free
from runners.processes import Program
from tests.support.servers import Server

SIZE = 3


@dataclass(frozen=True)
class NatsCluster:
    """The servers by name, and the URLs of all of them as the programs are told."""

    servers: dict[str, Server]
    urls: str


@contextlib.contextmanager
def nats_cluster_in(root: Path) -> Iterator[NatsCluster]:
    """Three servers with JetStream, ended on the way out."""
    ports = {f"n{number}": (free_port(), free_port()) for number in range(SIZE)}
    routes = [f"nats://{LOOPBACK}:{route}" for _, route in ports.values()]
    servers = {name: Server(_program(root / name, name, ports[name], routes)) for name in ports}
    try:
        for server in servers.values():
            server.start()
        yield NatsCluster(servers, ",".join(f"nats://{LOOPBACK}:{client}" for client, _ in ports.values()))
    finally:
        for server in servers.values():
            server.stop()


def _program(root: Path, name: str, ports: tuple[int, int], routes: list[str]) -> Program:
    client, route = ports
    configuration = root / "nats.conf"
    root.mkdir(parents=True)
    configuration.write_text(
        f"server_name: {name}\nlisten: {json.dumps(f'{LOOPBACK}:{client}')}\n"
        f"jetstream: {{ store_dir: {json.dumps(str(root / 'store'))}, max_memory_store: 64MB, max_file_store: 4GB }}\n"
        f"cluster: {{ name: everline, listen: {json.dumps(f'{LOOPBACK}:{route}')}, routes: {json.dumps(routes)} }}\n"
    )
    return Program(
        name=name,
        command=(str(_nats_server()), "-c", str(configuration)),
        environment={"PATH": os.defpath, "GOMEMLIMIT": "64MiB"},
        log_path=root / "nats.log",
        is_ready=lambda _pid: not is_free(client),
    )
