"""What each program in this room is told from outside, as `EVERLINE_*` variables; read once, in `__main__.py`.

Plain structs: every program here starts within the time and memory that `up` promises, which a
settings library alone would use up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from ledger.placement import parse_dsns

PORT = 8237
PREFIX = "EVERLINE_"


def _variable(field: str) -> str:
    return PREFIX + field.upper()


@dataclass(frozen=True)
class SupervisorSettings:
    """For `up`, `down` and `status`, whose command line reads the variables itself."""

    data_dir: Path
    port: int = PORT
    wal_archive: Path | None = None


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """For `migrate`: the only program that may change the schema, and that makes the first master key. `owner_dsns` are
    the PostgreSQLs beside the home, by alias."""

    owner_dsn: str
    owner_dsns: str = ""
    owner_dsns_file: Path | None = None
    keys: Path | None = None

    def __post_init__(self) -> None:
        self.aliases()

    def aliases(self) -> Mapping[str, str]:
        """The owner's DSN of every PostgreSQL by its alias, the home first."""
        return parse_dsns(self.owner_dsn, self.owner_dsns, file=self.owner_dsns_file)


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """For the relay, the projector and the bootstrap, which connect as the role that cannot change history. `dsns` are
    the PostgreSQLs beside the home, by alias. `nats_url` may name several servers, separated by commas; in a cluster
    of three, `nats_replicas` is 3."""

    dsn: str
    dsns: str = ""
    dsns_file: Path | None = None
    nats_url: str | None = None
    keys: Path | None = None
    nats_replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        self.aliases()

    def aliases(self) -> Mapping[str, str]:
        """The DSN of every PostgreSQL by its alias, the home first."""
        return parse_dsns(self.dsn, self.dsns, file=self.dsns_file)


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """For archiving and restoring: the serving role reads and records, the owner takes positions out of the log."""

    dsn: str
    owner_dsn: str
    keys: Path | None = None


class SealerSettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """For the sealer, the only program that is told where the signing key is. `deployment_name` counts at its first
    start only: others know the deployment by it."""

    dsn: str
    dsns: str = ""
    dsns_file: Path | None = None
    signer_key: Path | None = None
    signer_command: str | None = None
    deployment_name: Annotated[str, msgspec.Meta(pattern=r"^[^\s+]{1,60}$")] | None = None
    seal_seconds: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 1.0

    def __post_init__(self) -> None:
        self.aliases()

    def aliases(self) -> Mapping[str, str]:
        """As for the workers."""
        return parse_dsns(self.dsn, self.dsns, file=self.dsns_file)


class PlacementSettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """For the commands on placements. Without a DSN of the home, it is the embedded one of a data directory; the
    owner's are needed only to delete."""

    dsn: str | None = None
    dsns: str = ""
    dsns_file: Path | None = None
    owner_dsn: str | None = None
    owner_dsns: str = ""
    owner_dsns_file: Path | None = None

    def __post_init__(self) -> None:
        self.aliases("")
        self.owners("")

    def aliases(self, embedded_dsn: str) -> Mapping[str, str]:
        """As for the workers."""
        return parse_dsns(self.dsn or embedded_dsn, self.dsns, file=self.dsns_file)

    def owners(self, embedded_dsn: str) -> Mapping[str, str]:
        """As for the migrations."""
        return parse_dsns(self.owner_dsn or embedded_dsn, self.owner_dsns, file=self.owner_dsns_file)


Settings = TypeVar("Settings", MigrationSettings, WorkerSettings, SealerSettings, PlacementSettings, ArchiveSettings)


def read_settings(program: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Raises `msgspec.ValidationError`, which names the variable, when one is missing or wrong."""
    return msgspec.convert(dict(environment), program, strict=False, dec_hook=_decode)


def default_data_dir() -> Path:
    """Where this system keeps a user's data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("everline"))


def _decode(wanted: type, value: Any) -> Any:
    if wanted is Path:
        return Path(value)
    raise NotImplementedError(f"no setting is a {wanted}")
