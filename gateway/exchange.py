"""Around every HTTP exchange: its request id, its latency, and the last word when something is broken."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response

from gateway.answers import problem_answer
from gateway.problems import defect
from ledger.values import new_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.metrics import Metrics

REQUEST_ID_HEADER = b"x-request-id"
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
UNROUTED = "unrouted"

log = structlog.get_logger(__name__)


class Exchange:
    """ASGI middleware. The latency is the time to the first byte: streams would measure their listeners."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accepted_id(scope) or str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        started = False

        async def observed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID_HEADER, request_id.encode())]
                self._observe(scope, status=message["status"], seconds=time.perf_counter() - began)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, observed)
            except Exception:
                log.exception("request.failed", method=scope["method"], path=scope["path"])
                if started:
                    raise  # half an answer is out: only closing the connection tells the client
                response: Response = problem_answer(defect(), request_id=request_id)
                await response(scope, receive, observed)

    def _observe(self, scope: Scope, *, status: int, seconds: float) -> None:
        operation = getattr(scope.get("endpoint"), "__name__", UNROUTED)
        self._metrics.answered(operation, method=scope["method"], status=status, seconds=seconds)


def accepted_id(scope: Scope) -> str | None:
    """The client's own id for this request, if it is one that logs can hold."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID_HEADER and REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return None
