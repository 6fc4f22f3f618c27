"""Libraries that a server program leaves unloaded, although a person's environment has them."""

from __future__ import annotations

import sys

UNLOADED = ("rich", "aiohttp")
"""structlog loads rich for coloured tracebacks, nats-py loads aiohttp for WebSockets, both only if they find them. Our
logs are JSON and our NATS connections TCP: loading them cost each program up to 14 MB and 0.4 s of its start."""


def leave_unloaded() -> None:
    """Before structlog and nats are imported. None in `sys.modules` is how the import system says: not installed."""
    for name in UNLOADED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
