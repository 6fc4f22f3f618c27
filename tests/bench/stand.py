"""What every section of the bench stands on: how much to measure, and servers that are started when first needed."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self
from uuid import UUID

from ledger.values import derived_id
from runners.embedded import APP, DATABASE, EmbeddedPostgres
from tests.bench.ledgers import Filled
from tests.bench.report import Row
from tests.support.installations import Everline
from tests.support.servers import PostgresServer, postgres_in

PEERS_PYTHON = Path(__file__).parents[2] / ".venv-bench" / "bin" / "python"


class Scale(NamedTuple):
    """How long and how much."""

    slice_seconds: float
    rounds: int
    seconds: float
    samples: int
    history: tuple[int, ...]
    """Sizes of ledgers, in events."""
    runs: tuple[int, ...]
    """Sizes of tables, in runs."""
    workspaces: int
    producers: tuple[int, ...] = (1, 16, 64, 256)


SCALES = {
    "full": Scale(1.2, 3, 6.0, 4_000, (10_000, 100_000, 1_000_000), (10_000, 100_000, 1_000_000), 1_000),
    "small": Scale(0.4, 1, 1.5, 400, (2_000, 10_000, 30_000), (2_000, 10_000), 50),
    "tiny": Scale(0.05, 1, 0.2, 20, (300, 600), (200,), 3, (64,)),
}


class Stand:
    """A PostgreSQL for the ledger alone, and a whole system; both below one temporary directory, ended with it."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.skipped: list[str] = []
        self.measured: dict[str, list[Row]] = {}
        self.filled: dict[tuple[str, int], Filled] = {}
        self._open = ExitStack()
        self.root = Path(tempfile.mkdtemp(prefix="everline-bench-"))
        self.root.chmod(0o755)  # PostgreSQL runs as nobody below it when we are root
        self._open.callback(shutil.rmtree, self.root)

    @cached_property
    def postgres(self) -> PostgresServer:
        """With the settings of the embedded one, and room for subjects that need a connection for each producer. Each
        section gets a database of its own."""
        return self._open.enter_context(postgres_in(self.root / "store", {"max_connections": "300"}))

    @cached_property
    def system(self) -> System:
        """Everything that `everline up` starts."""
        running = System(self.root / "system")
        running.up()
        self._open.callback(running.down)
        return running

    def peers_python(self, what: str) -> Path | None:
        """The interpreter of the peers' environment; None, and said aloud, where it was not made."""
        if PEERS_PYTHON.exists():
            return PEERS_PYTHON
        self.skipped.append(f"{what}: there is no .venv-bench, `make bench-peers` makes it")
        return None

    def value(self, section: str, name: str) -> float | None:
        """What another section measured in this run."""
        return next((row.value for row in self.measured.get(section, []) if row.name == name), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


class System(Everline):
    """A running installation, and what the bench needs of it beside its commands."""

    workspace_id: UUID = derived_id("workspace", "default")

    @property
    def dsn(self) -> str:
        """Of the role that serves requests."""
        return EmbeddedPostgres(self.data_dir).dsn(APP, DATABASE)

    @property
    def pids(self) -> dict[str, int]:
        """Of its programs by name, the supervisor left out."""
        rows = json.loads(self.run("status", "-o", "json").stdout)["components"]
        return {row["name"]: row["pid"] for row in rows if row["name"] != "supervisor"}
