"""What the gateway is told from outside, as `EVERLINE_*` variables; read once, in `__main__.py`."""

from __future__ import annotations

import ipaddress

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK_NAME = "localhost"


class GatewaySettings(BaseSettings):
    """Where PostgreSQL is and where to listen."""

    model_config = SettingsConfigDict(env_prefix="EVERLINE_")

    dsn: str = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8237, ge=0, le=65535)


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
