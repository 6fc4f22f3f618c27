"""The gateway program: `python -m gateway`, told by EVERLINE_* variables where PostgreSQL is and where to listen."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import NoReturn

import uvicorn
from msgspec import ValidationError
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.logs import configure_logs
from gateway.settings import NotLoopback, read_settings
from ledger.errors import KeyUnusable

DRAIN_SECONDS_MAX = 10
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2_048
USAGE_ERROR = 2


class Server(uvicorn.Server):
    """Tells open streams that the program stops, before it waits for what is still being answered."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.services.stopping.set()
        await super().shutdown(sockets)


def main() -> int:
    """Serves until SIGTERM or SIGINT, then finishes what it began. Answers the exit code."""
    try:
        settings = read_settings(os.environ)
        app = create_app(settings)
    except ValidationError as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE_ERROR
    except (NotLoopback, KeyUnusable) as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE_ERROR
    configure_logs()
    # uvicorn drains, then raises the signal again for the handlers that were there before.
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )
    Server(config, app).run()
    return 0


def ended(*_: object) -> NoReturn:
    """An end that was asked for is no failure."""
    sys.exit(0)
