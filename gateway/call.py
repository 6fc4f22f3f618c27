"""What every request under /v1 passes before its endpoint: who asks, which workspace, and its readable parameters.

No route is added but through `route`, so none can forget to ask who is there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import NamedTuple
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commands.rejections import WorkspaceNotFound
from gateway.authentication import Actor
from gateway.placements import Placements
from gateway.problems import Refused, from_rejection, refused
from gateway.services import Services
from ledger.errors import WorkspaceElsewhere
from ledger.values import CONTROL_WORKSPACE

WORKSPACE = "/v1/workspaces/{workspace}"
MOVE_SECONDS_MAX = 5.0
"""How long a request waits for a workspace that is being moved."""

BODY_BYTES_MAX = 4 << 20
POSITION_DIGITS_MAX = 18
PARAMETER_LENGTH_MAX = 2_000


class Call(NamedTuple):
    """One request with what is known of it."""

    request: Request
    services: Services
    actor: Actor
    workspace_id: UUID

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


Endpoint = Callable[[Call], Awaitable[Response]]


def route(path: str, endpoint: Endpoint, *, method: str = "GET") -> Route:
    """A route whose endpoint gets a `Call`. Without a workspace in the path, the control ledger is meant."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        home: Services = request.app.state.services
        if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
            raise refused("malformed_request", "the address of this request holds a NUL character")
        actor = await home.authenticator.authenticate(request)
        workspace_id = await named_workspace(home, request.path_params.get("workspace"))
        request.state.workspace_id = workspace_id
        return await where_it_lives(endpoint, request, actor=actor, workspace_id=workspace_id)

    return Route(path, answer, methods=[method])


async def where_it_lives(endpoint: Endpoint, request: Request, *, actor: Actor, workspace_id: UUID) -> Response:
    """The endpoint's answer, with the services of the workspace's PostgreSQL. What a move refused was not done: it is
    done again where the workspace arrives, for MOVE_SECONDS_MAX; then WorkspaceElsewhere is raised."""
    placements: Placements = request.app.state.placements
    deadline = time.monotonic() + MOVE_SECONDS_MAX
    while True:
        request.state.services = services = await placements.services(workspace_id)
        try:
            return await endpoint(Call(request, services, actor, workspace_id))
        except WorkspaceElsewhere:
            if time.monotonic() > deadline:
                raise
            await placements.settle(workspace_id)


async def named_workspace(services: Services, ref: str | None) -> UUID:
    """The workspace's id. Raises Refused when there is none of that name or id."""
    if ref is None:
        return CONTROL_WORKSPACE
    found = await services.handler.workspace_id(ref)
    if found is None:
        raise Refused(from_rejection(WorkspaceNotFound(ref)))
    return found


async def read_body(request: Request) -> bytes:
    """The whole body, also when it is asked for again. Raises Refused beyond BODY_BYTES_MAX, before more than that is
    held."""
    if (read := getattr(request.state, "body", None)) is not None:
        return bytes(read)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_BYTES_MAX:
        raise body_too_large()
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise body_too_large()
        chunks.append(chunk)
    request.state.body = b"".join(chunks)
    return bytes(request.state.body)


def body_too_large() -> Refused:
    return refused(
        "body_too_large",
        f"the body is over {BODY_BYTES_MAX} bytes",
        hint="send several batches; store big things as artifacts",
        size_bytes_max=BODY_BYTES_MAX,
    )


def parameters(call: Call, allowed: Collection[str]) -> dict[str, str]:
    """The query string. Raises Refused for a parameter that is unknown or given twice: none is ever ignored."""
    found: dict[str, str] = {}
    for name, value in call.request.query_params.multi_items():
        if name not in allowed:
            raise refused(
                "invalid_filter",
                f"there is no parameter {name!r} here",
                hint="allowed: " + ", ".join(sorted(allowed)) if allowed else "this address takes no parameters",
                field=name,
                allowed=sorted(allowed),
            )
        put(found, name, value)
    return found


def put(found: dict[str, str], name: str, value: str) -> None:
    """Adds a parameter. Raises Refused for the second of its name and for one that is too long."""
    if name in found:
        raise invalid(name, value, "it is given more than once")
    if len(value) > PARAMETER_LENGTH_MAX:
        raise invalid(name, value[:40] + "...", f"it is longer than {PARAMETER_LENGTH_MAX} characters")
    found[name] = value


def integer(given: dict[str, str], name: str) -> int | None:
    """A whole number from 0, or None when the parameter is absent."""
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > POSITION_DIGITS_MAX:
        raise invalid(name, text, "it must be a whole number from 0")
    return int(text)


def boolean(given: dict[str, str], name: str) -> bool:
    """`true` or `false`; absent is false."""
    text = given.get(name, "false")
    if text not in {"true", "false"}:
        raise invalid(name, text, "it must be true or false")
    return text == "true"


def invalid(name: str, text: str, reason: str) -> Refused:
    return refused("invalid_filter", f"{name}={text!r}: {reason}", field=name, text=text, reason=reason)
