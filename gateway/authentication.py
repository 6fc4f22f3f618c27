"""Who sends a request. The seam: until people exist there is one answer, the user who runs the gateway.

That answer is only as good as the loopback address, so a browser must not be able to lend it to a web page.
"""

from __future__ import annotations

import getpass
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.problems import Refused, refused
from gateway.settings import is_loopback
from ledger.values import ACTOR_LENGTH_MAX

HOSTS_KNOWN_MAX = 64


class Actor(NamedTuple):
    """Who acts, as recorded on every event: `person/<id>`, or `user:<login>`, which no erasure takes back."""

    name: str


class Authenticator(Protocol):
    """Tells who sends a request, or raises Refused."""

    async def authenticate(self, request: Request) -> Actor: ...


class LocalUser:
    """Everybody is one person: the one whom the gateway is told, or the user of the operating system who runs it."""

    def __init__(self, actor: str | None = None) -> None:
        self._actor = Actor(actor or f"user:{getpass.getuser()}"[:ACTOR_LENGTH_MAX])

    async def authenticate(self, request: Request) -> Actor:
        """Refuses what a web page of another site made a browser send: a foreign Origin, or a name that somebody
        else's DNS points at this machine."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not is_own(host):
            raise foreign("Host", host)
        if origin is not None and urlsplit(origin).netloc != host:
            raise foreign("Origin", origin)
        return self._actor


def foreign(header: str, value: str) -> Refused:
    return refused(
        "foreign_origin",
        f"the {header} of this request is {value!r}, which is not this gateway",
        hint="without logins, requests are taken only from this machine and from the gateway's own pages",
    )


@lru_cache(maxsize=HOSTS_KNOWN_MAX)
def is_own(host: str) -> bool:
    """Whether a Host header names this machine."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
