"""The OpenAPI document, and a page that shows it without loading anything from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.answers import answer
from gateway.openapi import document

PAGE = Path(__file__).with_name("docs.html").read_bytes()
PAGE_POLICY = "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


async def show_document(request: Request) -> Response:  # noqa: ARG001 - a Starlette endpoint
    """The OpenAPI document."""
    return answer(document())


async def show_page(request: Request) -> Response:  # noqa: ARG001 - a Starlette endpoint
    """The document for people."""
    return Response(PAGE, media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})


ROUTES = (Route("/v1/openapi.json", show_document), Route("/docs", show_page))
