"""What the gateway is told from outside, as `EVERLINE_*` variables; read once, in `__main__.py`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ledger.placement import parse_dsns

LOOPBACK_NAME = "localhost"
PREFIX = "EVERLINE_"
PERSON = "^person/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""A pseudonym: it names nobody once the person was erased."""


def _variable(field: str) -> str:
    return PREFIX + field.upper()


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """Where PostgreSQL is, the home and those beside it, where to listen, the key that cosigns what others show, and
    where the key to personal data lies. `actor` is the person who stands on events, instead of the gateway's user."""

    dsn: Annotated[str, Meta(min_length=1)]
    dsns: str = ""
    dsns_file: str | None = None
    keys: Path | None = None
    actor: Annotated[str, Meta(pattern=PERSON)] | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8237
    witness_key: Annotated[str, Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        self.aliases()

    def aliases(self) -> Mapping[str, str]:
        """The DSN of every PostgreSQL by its alias, the home (`main`) first."""
        return parse_dsns(self.dsn, self.dsns, file=Path(self.dsns_file) if self.dsns_file else None)


def read_settings(environment: Mapping[str, str]) -> GatewaySettings:
    """Raises `msgspec.ValidationError`, which names the variable, when one is missing or wrong."""
    return msgspec.convert(dict(environment), GatewaySettings, strict=False, dec_hook=_decode)


def _decode(wanted: type, value: Any) -> Any:
    if wanted is Path:
        return Path(value)
    raise NotImplementedError(f"no setting is a {wanted}")


class NotLoopback(Exception):
    """Nobody can log in yet, so nobody outside this machine may connect."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"refusing to listen on {host!r}: requests are not authenticated yet, so only this machine may send them; "
            "set EVERLINE_HOST to 127.0.0.1, ::1 or localhost"
        )


def check_loopback(host: str) -> None:
    """Raises NotLoopback unless only this machine can reach the address."""
    if not is_loopback(host):
        raise NotLoopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == LOOPBACK_NAME
