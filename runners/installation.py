"""The programs that `up` runs from one data directory, and what each is told.

Only `migrate` learns how to connect as the owner; whatever serves requests cannot change history.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import sys
from pathlib import Path

from runners.backup.wal_archive import SETTINGS, WalArchive
from runners.data_directory import DataDirectory
from runners.embedded import APP, DATABASE, LOOPBACK, OWNER, EmbeddedNats, EmbeddedPostgres
from runners.processes import Program

READY_SECONDS_MAX = 2.0
READY_PATHS = ("/ready", "/v1/workspaces/default/stacks?limit=1&min_position=3")
# The second one waits until the three events of the default stack are in the query tables.
MIGRATE_SECONDS_MAX = 300.0
GATEWAY = "gateway"
PROJECTOR = "projector"
PROGRAMS = "runners.programs"
OWNER_VARIABLES = ("EVERLINE_OWNER_DSN", "EVERLINE_OWNER_DSNS", "EVERLINE_OWNER_DSNS_FILE")


class Installation:
    """The embedded servers and the Python programs of one data directory."""

    def __init__(self, directory: DataDirectory, port: int, wal_archive: Path | None = None) -> None:
        self.directory = directory
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self._postgres = EmbeddedPostgres(directory.root, SETTINGS if wal_archive else None)
        self.archive = WalArchive(wal_archive, self._postgres) if wal_archive else None
        self._nats = EmbeddedNats(directory.root)

    def servers(self) -> list[Program]:
        """PostgreSQL, made on the first start, and nats-server. Needs the directory's lock."""
        self._postgres.initialise()
        if self.archive is not None:
            self.archive.prepare()
        return [self._postgres.program(), self._nats.program()]

    def migration(self) -> Program:
        """Ends when the schema is this program's and the default workspace is there."""
        owner = {name: os.environ[name] for name in OWNER_VARIABLES if name in os.environ}
        owner["EVERLINE_OWNER_DSN"] = self._postgres.dsn(OWNER, DATABASE)
        return Program(
            name="migrate",
            command=_python(PROGRAMS, "prepare"),
            environment={**self._environment(), **owner, **self._keys()},
            log_path=self.directory.logs / "migrate.log",
            start_seconds_max=MIGRATE_SECONDS_MAX,
        )

    def workers(self) -> list[Program]:
        """The gateway and the runners, which need the servers and the schema."""
        self._make_keys()
        return [self._worker(GATEWAY), self._worker("relay"), self._worker(PROJECTOR), self._sealer()]

    def _make_keys(self) -> None:
        """At the first start only, so that no other one pays for loading the cryptography."""
        keys = (self.directory.signing_key, self.directory.witness_key)
        if not all(key.exists() for key in keys):
            from ledger.signing import make_key_file

            for key in keys:
                make_key_file(key)

    def _sealer(self) -> Program:
        """The only program that is told where the signing key is."""
        environment = {**self._environment(), "EVERLINE_SIGNER_KEY": str(self.directory.signing_key)}
        return dataclasses.replace(self._worker("sealer"), environment=environment)

    def _worker(self, name: str) -> Program:
        command = _python(GATEWAY) if name == GATEWAY else _python(PROGRAMS, name)
        log_path = self.directory.logs / f"{name}.log"
        if name != GATEWAY:
            environment = self._environment() | (self._keys() if name == PROJECTOR else {})
            return Program(name=name, command=command, environment=environment, log_path=log_path)
        return Program(
            name=name,
            command=command,
            environment={
                **self._environment(),
                **self._keys(),
                "EVERLINE_WITNESS_KEY": str(self.directory.witness_key),
            },
            log_path=log_path,
            address=self.url,
            is_ready=lambda _pid: self._answers(),
        )

    def _keys(self) -> dict[str, str]:
        """For the programs that read or write what is known of people."""
        return {"EVERLINE_KEYS": str(self.directory.keys)}

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in OWNER_VARIABLES}
        return {
            **inherited,
            "EVERLINE_DSN": self._postgres.dsn(APP, DATABASE),
            "EVERLINE_NATS_URL": self._nats.url,
            "EVERLINE_HOST": LOOPBACK,
            "EVERLINE_PORT": str(self.port),
            "EVERLINE_DATA_DIR": str(self.directory.root),
        }

    def _answers(self) -> bool:
        """Whether the gateway serves, and shows what the bootstrap made."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=READY_SECONDS_MAX)
        try:
            return all(_is_ok(connection, path) for path in READY_PATHS)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _is_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status == http.HTTPStatus.OK


def _python(*arguments: str) -> tuple[str, ...]:
    # -P: a folder `commands` or `gateway` where the user stands is not ours.
    return (sys.executable, "-P", "-m", *arguments)
