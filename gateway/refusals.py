"""From an exception to a problem document: what is expected is answered, everything else is left to `Exchange`."""

from __future__ import annotations

import psycopg
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.answers import problem_answer
from gateway.problems import Problem, from_error
from gateway.services import Services
from ledger.errors import WorkspaceElsewhere
from ledger.postgres.connecting import LOST
from ledger.values import Position

NOT_FOUND, METHOD_NOT_ALLOWED, CLIENT_CLOSED, SERVER_ERROR = 404, 405, 499, 500

log = structlog.get_logger(__name__)


async def expected(request: Request, error: Exception) -> Response:
    """A refusal or an outage as a problem. What has no code is a defect and goes on to the outermost layer."""
    problem = from_error(error)
    if problem is None:
        raise error
    services: Services = getattr(request.state, "services", request.app.state.services)
    position = None
    if problem.status >= SERVER_ERROR:
        log.warning("request.refused", code=problem.code, reason=str(error), path=request.url.path)
    else:
        position = await reflected(request, services)
    if isinstance(error, LOST):
        await services.forget_broken_connections()
    return problem_answer(problem, request_id=request.state.request_id, position=position)


async def reflected(request: Request, services: Services) -> Position | None:
    """Where the ledger stands that the refused request named, if it got that far and PostgreSQL answers."""
    workspace_id = getattr(request.state, "workspace_id", None)
    if workspace_id is None:
        return None
    try:
        return (await services.reader.head(workspace_id)).position
    except (psycopg.OperationalError, WorkspaceElsewhere):
        return None


async def unrouted(request: Request, error: Exception) -> Response:
    """The router's refusals: no such path, or not with this method."""
    if not isinstance(error, HTTPException):
        raise error
    path, method = request.url.path, request.method
    if error.status_code == NOT_FOUND:
        problem = Problem("unknown_path", f"there is nothing at {path}", "see /v1/openapi.json")
    elif error.status_code == METHOD_NOT_ALLOWED:
        problem = Problem("method_not_allowed", f"{path} does not take {method}", "see /v1/openapi.json")
    else:
        raise error
    response = problem_answer(problem, request_id=request.state.request_id)
    response.headers.update(error.headers or {})
    return response


async def gone(request: Request, error: Exception) -> Response:
    """The client left while it was sending: this answer is for the measurements only."""
    log.info("request.abandoned", path=request.url.path, reason=type(error).__name__)
    return Response(status_code=CLIENT_CLOSED)
