"""What `status` says of the projections: asked of the gateway, which may be away."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

ANSWER_SECONDS_MAX = 3.0
SHOWN_MAX = 10
"""Workspaces in a status: what is stopped, then what is furthest behind. `everline projection list` has all."""


def read_projections(url: str | None) -> dict[str, Any] | None:
    """The page of the gateway at this address; None if there is none that answers."""
    if url is None:
        return None
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", f"/v1/projections?limit={SHOWN_MAX}")
        answer = connection.getresponse()
        body = answer.read()
        return msgspec.json.decode(body, type=dict[str, Any]) if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
