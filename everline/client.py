"""`Client` and `AsyncClient`: the HTTP API as Python objects, both made from `everline.calls`.

A client reads its own writes: it remembers the highest position it was answered and asks for nothing older.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from everline import calls
from everline.calls import Call, Place
from everline.config import Target, resolve
from everline.resources import CONTROL_TABLES, TABLE_PATHS, Event, Moment, Page, Receipt, Resource, RollbackPlan
from everline.wire import AsyncWire, Wire

T = TypeVar("T")
P = ParamSpec("P")
CONTROL = "control"
LISTING_PAGE_SIZE = 100


class _Blocking(Protocol):
    place: Place

    def send(self, call: Call[T]) -> T: ...


class _Awaiting(Protocol):
    place: Place

    def send(self, call: Call[T]) -> Awaitable[T]: ...


def blocking(make: Callable[Concatenate[Place, P], Call[T]]) -> Callable[Concatenate[_Blocking, P], T]:
    """The call as a method that waits for the answer."""

    @functools.wraps(make)
    def method(self: _Blocking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(make(self.place, *args, **kwargs))

    return method


def awaiting(make: Callable[Concatenate[Place, P], Call[T]]) -> Callable[Concatenate[_Awaiting, P], Awaitable[T]]:
    """The call as a method whose answer is awaited."""

    @functools.wraps(make)
    def method(self: _Awaiting, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self.send(make(self.place, *args, **kwargs))

    return method


class Listing(Generic[T]):
    """Items page by page, fetched while one iterates: `for run in client.runs.list()`, or `async for`."""

    def __init__(
        self,
        send: Callable[[Call[Page[T]]], Any],
        make: Callable[[str | None, int], Call[Page[T]]],
        *,
        limit: int | None,
    ) -> None:
        self._send, self._make, self._limit = send, make, limit

    def _call(self, cursor: str | None, seen: int) -> Call[Page[T]]:
        left = LISTING_PAGE_SIZE if self._limit is None else self._limit - seen
        return self._make(cursor, min(left, calls.PAGE_SIZE_MAX))

    def _is_last(self, page: Page[T], seen: int) -> bool:
        return page.next is None or (self._limit is not None and seen >= self._limit)

    def __iter__(self) -> Iterator[T]:
        cursor, seen = None, 0
        while self._limit is None or seen < self._limit:
            page = self._send(self._call(cursor, seen))
            yield from page.items
            cursor, seen = page.next, seen + len(page.items)
            if self._is_last(page, seen):
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        cursor, seen = None, 0
        while self._limit is None or seen < self._limit:
            page = await self._send(self._call(cursor, seen))
            for item in page.items:
                yield item
            cursor, seen = page.next, seen + len(page.items)
            if self._is_last(page, seen):
                return


class _Reading:
    """A table's questions that answer in pages; the same for both clients."""

    def __init__(self, connection: Connection, table: str) -> None:
        workspace = CONTROL if table in CONTROL_TABLES else connection.place.workspace
        self._connection = connection
        self.place = Place(workspace, table, connection.place.as_of)
        self.send = connection.send

    def list(self, *, limit: int | None = None, sort: str | None = None, **filters: Any) -> Listing[Resource]:
        """The entities, newest first unless `sort` says otherwise (`sort="-duration_seconds"`).

        Filters are columns: `status="failed"`, or with an operator `created="gte:2026-11-01T00:00:00Z"`.
        """
        params = {"sort": sort, **filters}
        return Listing(self.send, lambda cursor, size: calls.page(self.place, params, cursor, size), limit=limit)

    def history(self, ref: str, *, limit: int | None = None) -> Listing[Resource]:
        """Every change of one entity, newest first: when, who, what."""
        return Listing(self.send, lambda cursor, size: calls.history(self.place, ref, cursor, size), limit=limit)


class Table(_Reading):
    """A table of the workspace: `list`, `get`, `counts`, `history`."""

    get = blocking(calls.get)
    counts = blocking(calls.counts)


class AsyncTable(_Reading):
    """A table of the workspace: `list`, `get`, `counts`, `history`."""

    get = awaiting(calls.get)
    counts = awaiting(calls.counts)


class Connection:
    """What both clients are: a place, and the questions that answer in pages."""

    send: Callable[[Call[Any]], Any]

    def __init__(self, target: Target) -> None:
        self.target = target
        self.place = Place(target.workspace)

    def _seeing(self, moment: str) -> Self:
        """The same connection, looking at a past moment."""
        past = copy.copy(self)
        past.place = dataclasses.replace(self.place, as_of=moment)
        return past

    @property
    def url(self) -> str:
        """The server's address."""
        return self.target.url

    @property
    def workspace(self) -> str:
        """The workspace's name or id."""
        return self.target.workspace

    def asking(self) -> AbstractContextManager[Client]:
        """A blocking client of the same place: resources use it to ask for what belongs to them."""
        return Client(self.target.url, self.target.workspace)

    def diff(
        self, before: Moment, after: Moment | None = None, *, kind: str | None = None, limit: int | None = None
    ) -> Listing[Resource]:
        """What differs between two moments (`after` defaults to now): entities with their changes."""
        return Listing(
            self.send, lambda cursor, size: calls.diff(self.place, before, after, kind, cursor, size), limit=limit
        )

    def events(self, *, limit: int | None = None, **filters: Any) -> Listing[Event]:
        """The ledger's events, newest first. Filters: `actor`, `type` (`run.*`), `kind`, `entity`, `since`, `until`."""
        return Listing(self.send, lambda cursor, size: calls.events(self.place, filters, cursor, size), limit=limit)

    def __repr__(self) -> str:
        moment = f", as of {self.place.as_of}" if self.place.as_of else ""
        return f"{type(self).__name__}({self.url}, workspace {self.workspace!r}{moment})"


class Rollback:
    """A rollback to be planned."""

    def __init__(self, client: Client, to: Moment, entities: Iterable[str] | None) -> None:
        self._client, self._to = client, to
        self._entities = None if entities is None else list(entities)
        self._plan: RollbackPlan | None = None

    def plan(self) -> RollbackPlan:
        """What would be done. Changes nothing."""
        self._plan = self._client.send(calls.plan_rollback(self._client.place, self._to, self._entities))
        return self._plan

    def apply(self, *, reason: str, idempotency_key: str | None = None) -> Resource:
        """Does what the last plan says (one is made if there is none). Raises Conflict when what it would change
        has changed since: plan again."""
        plan = self._plan or self.plan()
        call = calls.apply_rollback(
            self._client.place, plan, self._entities, reason=reason, idempotency_key=idempotency_key
        )
        return self._client.send(call)


class AsyncRollback:
    """A rollback to be planned; see `Rollback`."""

    def __init__(self, client: AsyncClient, to: Moment, entities: Iterable[str] | None) -> None:
        self._client, self._to = client, to
        self._entities = None if entities is None else list(entities)
        self._plan: RollbackPlan | None = None

    async def plan(self) -> RollbackPlan:
        """What would be done. Changes nothing."""
        self._plan = await self._client.send(calls.plan_rollback(self._client.place, self._to, self._entities))
        return self._plan

    async def apply(self, *, reason: str, idempotency_key: str | None = None) -> Resource:
        """Does what the last plan says, as `Rollback.apply`."""
        plan = self._plan or await self.plan()
        call = calls.apply_rollback(
            self._client.place, plan, self._entities, reason=reason, idempotency_key=idempotency_key
        )
        return await self._client.send(call)


class Client(Connection):
    """One workspace of a server: `client.runs.list(status="failed")`, `client.command("register-stack", {...})`.

    Without arguments the place comes from the environment, the active context, or the server on this machine. Each
    table is an attribute: `client.runs`, `client.stacks`, `client.model_versions`, ... Retries what may be repeated a
    few times while the server is away, then raises Unavailable.
    """

    def __init__(self, url: str | None = None, workspace: str | None = None, *, context: str | None = None) -> None:
        super().__init__(resolve(url, workspace, context=context))
        self._wire = Wire(self.url)

    def send(self, call: Call[T]) -> T:
        """Sends a call of `everline.calls` and waits for the answer."""
        return self._bound(self._wire.send(call, as_of=self.place.as_of))

    def asking(self) -> AbstractContextManager[Client]:
        """This client."""
        return nullcontext(self)

    def _bound(self, answer: T) -> T:
        for each in answer.items if isinstance(answer, Page) else [answer]:
            if isinstance(each, Resource):
                each.bound_to(self)
        return answer

    def __getattr__(self, name: str) -> Table:
        return Table(self, table_named(name))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *attributes()]

    ask = blocking(calls.ask)
    info = blocking(calls.info)
    command = blocking(calls.command)
    batch = blocking(calls.batch)
    promote = blocking(calls.promote)
    lineage = blocking(calls.lineage)
    replay_check = blocking(calls.replay_check)

    def register_component(
        self, name: str, *, component_type: str, flavor: str, configuration: Mapping[str, Any] | None = None
    ) -> Receipt:
        """Records a piece of infrastructure, such as an artifact store."""
        body = {"name": name, "component_type": component_type, "flavor": flavor, "configuration": configuration or {}}
        return self.command("register-component", body)

    def register_stack(self, name: str, components: Mapping[str, str], *, description: str = "") -> Receipt:
        """Records a stack: component type -> name or id of the component."""
        body = {"name": name, "components": dict(components), "description": description}
        return self.command("register-stack", body)

    def rollback(self, *, to: Moment, entities: Iterable[str] | None = None) -> Rollback:
        """A rollback of some entities (`["stack/prod"]`) or of everything since `to`: `.plan()`, then `.apply()`."""
        calls.changing(self.place)
        return Rollback(self, to, entities)

    def as_of(self, moment: Moment) -> Client:
        """The same client looking at a past moment; it reads everything and changes nothing (ReadOnlyMoment)."""
        return self._seeing(calls.written(moment))

    def follow(self, *, after: int | None = None) -> Iterator[Event]:
        """Events as they are recorded, without end; reconnects and misses none. Raises Unavailable when the server
        stays away."""
        return self._wire.follow(self.place, after=after)

    def close(self) -> None:
        """Closes the connections; a closed client opens new ones when it is used again."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(Connection):
    """As `Client`, for asyncio: `await client.runs.get(ref)`, `async for run in client.runs.list()`."""

    def __init__(self, url: str | None = None, workspace: str | None = None, *, context: str | None = None) -> None:
        super().__init__(resolve(url, workspace, context=context))
        self._wire = AsyncWire(self.url)

    async def send(self, call: Call[T]) -> T:
        """Sends a call of `everline.calls`."""
        answer = await self._wire.send(call, as_of=self.place.as_of)
        for each in answer.items if isinstance(answer, Page) else [answer]:
            if isinstance(each, Resource):
                each.bound_to(self)
        return answer

    def __getattr__(self, name: str) -> AsyncTable:
        return AsyncTable(self, table_named(name))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *attributes()]

    ask = awaiting(calls.ask)
    info = awaiting(calls.info)
    command = awaiting(calls.command)
    batch = awaiting(calls.batch)
    promote = awaiting(calls.promote)
    lineage = awaiting(calls.lineage)
    replay_check = awaiting(calls.replay_check)

    def rollback(self, *, to: Moment, entities: Iterable[str] | None = None) -> AsyncRollback:
        """See `Client.rollback`."""
        calls.changing(self.place)
        return AsyncRollback(self, to, entities)

    def as_of(self, moment: Moment) -> AsyncClient:
        """See `Client.as_of`."""
        return self._seeing(calls.written(moment))

    def follow(self, *, after: int | None = None) -> AsyncIterator[Event]:
        """See `Client.follow`."""
        return self._wire.follow(self.place, after=after)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def table_named(attribute: str) -> str:
    """The table behind an attribute of a client: `model_versions` is `model-versions`."""
    table = attribute.replace("_", "-")
    if table not in TABLE_PATHS:
        raise AttributeError(f"a client has no {attribute!r}; its tables are {', '.join(attributes())}")
    return table


def attributes() -> list[str]:
    """The attributes of a client that are tables."""
    return [table.replace("-", "_") for table in TABLE_PATHS]
