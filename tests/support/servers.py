"""Real PostgreSQL and NATS for tests: one of each for a session, a fresh database for each test that asks.

Whatever a test does, the servers end with the session: by pid when it ends well, by the kernel when it is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from ledger.postgres.migrate import APP_ROLE, migrate
from runners.embedded import APP, OWNER, EmbeddedNats, EmbeddedPostgres
from runners.processes import Program, launch, stop, wait_until_ready

TEMPLATE = "everline_template"


class Server:
    """A server program that a test may start, stop, kill and start again."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.program.name} does not run"
        return self._process.pid

    def start(self) -> None:
        """Blocks until it is ready."""
        self._process = launch(self.program)
        wait_until_ready(self.program, self._process)

    def stop(self) -> None:
        """Ends it politely; does nothing when it does not run."""
        if self._process is not None:
            stop(self.program, self._process)
            self._process = None

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        assert self._process is not None, f"{self.program.name} does not run"
        self._process.kill()
        self._process.wait()
        self._process = None


@dataclass(frozen=True)
class Database:
    """A database of its own for one test."""

    name: str
    owner_dsn: str
    app_dsn: str


@dataclass
class PostgresServer:
    """A running PostgreSQL with the migrated template that databases are cloned from."""

    cluster: EmbeddedPostgres
    server: Server
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def create_database(self) -> Database:
        """A clone of the migrated template."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        # A clone has the template's contents, not the privileges on the database itself.
        self._execute(
            sql.SQL("GRANT CONNECT, CREATE ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(APP_ROLE))
        )
        return self.database(name)

    def create_empty_database(self) -> Database:
        """A database without any schema, as `migrate` finds it at first."""
        name = f"empty_{os.getpid()}_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Also with sessions open in it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def database(self, name: str) -> Database:
        return Database(name, owner_dsn=self.cluster.dsn(OWNER, name), app_dsn=self.cluster.dsn(APP, name))

    def create_template(self) -> None:
        """Migrate the template once for the session."""
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(self.database(TEMPLATE).owner_dsn)

    def _execute(self, statement: sql.Composable) -> None:
        with psycopg.connect(self.cluster.dsn(OWNER, "postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextlib.contextmanager
def postgres_in(root: Path, settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """A PostgreSQL below `root` with its template, ended on the way out; `settings` beside those of the product."""
    cluster = EmbeddedPostgres(root, settings)
    cluster.initialise()
    server = Server(cluster.program())
    server.start()
    try:
        running = PostgresServer(cluster, server)
        running.create_template()
        yield running
    finally:
        server.stop()


@contextlib.contextmanager
def nats_in(root: Path) -> Iterator[tuple[str, Server]]:
    """A nats-server with JetStream below `root` and its URL, ended on the way out."""
    nats = EmbeddedNats(root)
    server = Server(nats.program())
    server.start()
    try:
        yield nats.url, server
    finally:
        server.stop()
