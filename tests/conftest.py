"""Fixtures that all tests share: one PostgreSQL and one NATS per session, a fresh database per test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Database, PostgresServer, nats_in, postgres_in


@pytest.fixture(scope="session")
def servers_root() -> Iterator[Path]:
    """Where the session's servers keep their data; short, because sockets lie in it."""
    root = Path(tempfile.mkdtemp(prefix="everline-tests-"))
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def postgres(servers_root: Path) -> Iterator[PostgresServer]:
    """The session's PostgreSQL."""
    with postgres_in(servers_root) as running:
        yield running


@pytest.fixture(scope="session")
def eu(servers_root: Path) -> Iterator[PostgresServer]:
    """Another PostgreSQL, for what is placed elsewhere."""
    with postgres_in(servers_root / "eu") as running:
        yield running


@pytest.fixture(scope="session")
def nats_url(servers_root: Path) -> Iterator[str]:
    """The session's nats-server with JetStream. Streams are shared: name yours after your workspace."""
    with nats_in(servers_root) as (url, _server):
        yield url


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated database."""
    made = postgres.create_database()
    yield made
    postgres.drop_database(made.name)
