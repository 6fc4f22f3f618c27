"""One exchange with a server: the request that a call stands for, the answer or the exception, and when to try again.

`Wire` waits, `AsyncWire` awaits; what they send and how they read it is the same code.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from everline.errors import EverlineError, Unavailable, refused
from everline.resources import Event

if TYPE_CHECKING:
    import httpx2

    from everline.calls import Call, Place

T = TypeVar("T")
ATTEMPTS_MAX = 4
"""Of a call that may be repeated, while the server is away."""

WAIT_SECONDS = 0.2
WAIT_SECONDS_MAX = 2.0
CONNECT_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 60.0
BODY_SHOWN_MAX = 200
SILENCE_SECONDS_MAX = 45.0
"""A live stream says something at least every 15 seconds."""


class Positions:
    """The highest position that this process was answered for one workspace."""

    def __init__(self) -> None:
        self._highest = 0
        self._lock = threading.Lock()

    @property
    def highest(self) -> int:
        """0 before the first answer."""
        return self._highest

    def saw(self, position: int) -> None:
        """Reads of the present from now on reflect at least this position."""
        with self._lock:
            self._highest = max(self._highest, position)


_positions: dict[tuple[str, str], Positions] = {}


def positions_of(url: str, workspace: str) -> Positions:
    """Shared by every client and by the sender of this process: all of them read what any of them wrote."""
    return _positions.setdefault((url, workspace), Positions())


def workspace_of(call: Call[Any]) -> str:
    """The workspace whose ledger the call is about; positions of one ledger mean nothing in another."""
    match call.path.split("/"):
        case ["", "v1", "workspaces", workspace, *_]:
            return unquote(workspace)
        case _:
            return ""


def request_of(call: Call[Any], positions: Positions, *, as_of: str) -> dict[str, Any]:
    """The arguments of the HTTP client's `request`."""
    params = dict(call.params)
    if call.moment and as_of:
        params["as_of"] = as_of
    elif call.moment and positions.highest:
        params["min_position"] = positions.highest
    request = {"method": call.method, "url": call.path, "params": params, "headers": dict(call.headers)}
    if call.body is None:
        return request
    return {**request, "content" if isinstance(call.body, bytes) else "json": call.body}


def answer_of(call: Call[T], response: httpx2.Response, positions: Positions) -> T:
    """The answer, or the exception for the problem."""
    if response.status_code >= 400:
        raise problem_in(response)
    try:
        answer = call.decode(response.content if call.raw else response.json())
        position = int(response.headers.get("Everline-Position", 0))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise refused(unexpected(response, f"with something else than expected: {error!r}")) from error
    positions.saw(position)
    return answer


def problem_in(response: httpx2.Response) -> EverlineError:
    """The exception for a refusal; a proxy's page counts as a problem without fields."""
    try:
        problem = response.json()
        known = isinstance(problem, dict) and "code" in problem
    except ValueError:
        known = False
    if not known:
        problem = {**unexpected(response, response.reason_phrase), "body": response.text[:BODY_SHOWN_MAX]}
    return refused(
        {**problem, "status": response.status_code}, retry_after=_seconds(response.headers.get("Retry-After"))
    )


def unexpected(response: httpx2.Response, how: str) -> dict[str, Any]:
    """The problem when what answers is not an Everline server, or not one of this version."""
    text = f"{response.request.method} {response.url} answered {response.status_code} {how}"
    return {"title": text, "code": "unexpected_answer", "hint": "is this the address of an Everline server?"}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.replace(".", "", 1).isdigit() else None


class Wire:
    """The blocking connection to one server. Safe to share between threads."""

    def __init__(
        self, url: str, *, attempts_max: int = ATTEMPTS_MAX, answer_seconds_max: float = ANSWER_SECONDS_MAX
    ) -> None:
        self.url = url
        self._attempts_max, self._answer_seconds_max = attempts_max, answer_seconds_max
        self._client: httpx2.Client | None = None

    def send(self, call: Call[T], *, as_of: str = "") -> T:
        """Sends and waits; `as_of` is the moment that a question is about. Raises EverlineError."""
        import tenacity

        attempts = tenacity.Retrying(**_patience(self._attempts_max if call.repeatable else 1))
        answer: T = attempts(self._send_once, call, as_of)
        return answer

    def _send_once(self, call: Call[T], as_of: str) -> T:
        import httpx2

        positions = positions_of(self.url, workspace_of(call))
        try:
            response = self._connection().request(**request_of(call, positions, as_of=as_of))
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Unavailable.unreachable(self.url, error) from error
        return answer_of(call, response, positions)

    def follow(self, place: Place, *, after: int | None) -> Iterator[Event]:
        """Events of the live stream, resumed after interruptions."""
        import httpx2

        failures = 0
        while True:
            try:
                with self._connection().stream(**_stream_request(place, after)) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise problem_in(response)
                    after = _start(response, after)
                    for message in httpx2.EventSource(response):
                        if message.data:
                            failures, after = 0, int(message.id)
                            yield Event(json.loads(message.data))
            except httpx2.TransportError as error:
                failures += 1
                if failures >= ATTEMPTS_MAX:
                    raise Unavailable.unreachable(self.url, error) from error
                threading.Event().wait(_backoff_seconds(failures))

    def _connection(self) -> httpx2.Client:
        import httpx2

        if self._client is None:
            self._client = httpx2.Client(
                base_url=self.url, timeout=_timeout(self._answer_seconds_max), verify=needs_certificates(self.url)
            )
        return self._client

    def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None


class AsyncWire:
    """The connection to one server for asyncio; belongs to one event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: httpx2.AsyncClient | None = None

    async def send(self, call: Call[T], *, as_of: str = "") -> T:
        """Sends and awaits, as `Wire.send`."""
        import tenacity

        attempts = tenacity.AsyncRetrying(**_patience(ATTEMPTS_MAX if call.repeatable else 1))
        return await attempts(self._send_once, call, as_of)

    async def _send_once(self, call: Call[T], as_of: str) -> T:
        import httpx2

        positions = positions_of(self.url, workspace_of(call))
        try:
            response = await self._connection().request(**request_of(call, positions, as_of=as_of))
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise Unavailable.unreachable(self.url, error) from error
        return answer_of(call, response, positions)

    async def follow(self, place: Place, *, after: int | None) -> AsyncIterator[Event]:
        """Events of the live stream, resumed after interruptions."""
        import asyncio

        import httpx2

        failures = 0
        while True:
            try:
                async with self._connection().stream(**_stream_request(place, after)) as response:
                    if response.status_code >= 400:
                        await response.aread()
                        raise problem_in(response)
                    after = _start(response, after)
                    async for message in httpx2.EventSource(response):
                        if message.data:
                            failures, after = 0, int(message.id)
                            yield Event(json.loads(message.data))
            except httpx2.TransportError as error:
                failures += 1
                if failures >= ATTEMPTS_MAX:
                    raise Unavailable.unreachable(self.url, error) from error
                await asyncio.sleep(_backoff_seconds(failures))

    def _connection(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(
                base_url=self.url, timeout=_timeout(ANSWER_SECONDS_MAX), verify=needs_certificates(self.url)
            )
        return self._client

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _patience(attempts_max: int) -> dict[str, Any]:
    """Waits at least as long as the server asked for."""
    import tenacity

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = min(getattr(error, "retry_after", None) or 0.0, WAIT_SECONDS_MAX)
        unreachable = isinstance(error, Unavailable) and error.status is None
        return _backoff_seconds(state.attempt_number) if unreachable else max(asked, WAIT_SECONDS)

    return {
        "stop": tenacity.stop_after_attempt(attempts_max),
        "wait": wait,
        "retry": tenacity.retry_if_exception(lambda error: isinstance(error, EverlineError) and error.retryable),
        "reraise": True,
    }


def needs_certificates(url: str) -> bool:
    """Loading the trusted certificates takes 50 ms: plain HTTP does without. Redirects are never followed."""
    return not url.startswith("http://")


def _backoff_seconds(failures: int) -> float:
    return min(WAIT_SECONDS_MAX, WAIT_SECONDS * 2.0 ** (failures - 1))


def _timeout(answer_seconds_max: float) -> httpx2.Timeout:
    import httpx2

    return httpx2.Timeout(answer_seconds_max, connect=CONNECT_SECONDS_MAX)


def _stream_request(place: Place, after: int | None) -> dict[str, Any]:
    import httpx2

    return {
        "method": "GET",
        "url": place.path("stream"),
        "params": {} if after is None else {"after": after},
        "timeout": httpx2.Timeout(SILENCE_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
    }


def _start(response: httpx2.Response, after: int | None) -> int:
    """Where this connection begins: known from now on, so that a reconnect misses nothing."""
    return after if after is not None else int(response.headers["Everline-Position"])
