"""Every question and command of the HTTP API as a value: what to send and how to read the answer, without sending it.

`Client` and `AsyncClient` are made from these functions, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from everline.errors import ReadOnlyMoment
from everline.ids import new_id
from everline.resources import Event, Moment, Page, Receipt, Resource, RollbackPlan, entity

T = TypeVar("T")
PAGE_SIZE_MAX = 1_000
BATCH_MAX = 500


@dataclass(frozen=True)
class Place:
    """Where a call goes: the workspace, the table (or nothing), and the moment that is asked about."""

    workspace: str
    table: str = ""
    as_of: str = ""

    def path(self, *parts: str) -> str:
        """A path inside the workspace; references may hold any character."""
        return "/v1/workspaces/" + "/".join(quote(part, safe="@") for part in (self.workspace, *parts) if part)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One exchange. `moment` calls take `as_of` and `min_position`; `repeatable` ones may be sent again; the answer
    to a `raw` one is bytes, as the body is when it is given as bytes."""

    method: str
    path: str
    decode: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    moment: bool = False
    repeatable: bool = False
    raw: bool = False


def written(moment: Moment) -> str:
    """A position or a time as the API takes it; a datetime without a zone is local time."""
    return moment.astimezone().isoformat() if isinstance(moment, datetime) else str(moment)


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The query parameters that were given, as text."""
    return {name: parameter(value) for name, value in values.items() if value is not None}


def parameter(value: Any) -> Any:
    """A query parameter's value: times with their zone, truth as JSON spells it."""
    match value:
        case datetime():
            return written(value)
        case bool():
            return str(value).lower()
        case _:
            return value


def ask(place: Place, path: str, params: Mapping[str, Any] | None = None) -> Call[dict[str, Any]]:
    """Any document of the workspace, as it is: `client.ask("runs/counts", {"by": "status"})`."""
    return Call("GET", place.path(*path.split("/")), dict, present(params or {}), moment=True, repeatable=True)


def info(place: Place) -> Call[Resource]:
    """The server: its version, who asks, and the workspaces."""
    del place
    return Call("GET", "/v1/info", Resource, repeatable=True)


def command(
    place: Place,
    name: str,
    body: Mapping[str, Any] | None = None,
    *,
    idempotency_key: str | None = None,
    expected_version: int | None = None,
) -> Call[Receipt]:
    """Does one thing, such as `register-stack`. A repeat with the same key is answered, not done again; with
    `expected_version`, the entity must still be at that version (else StaleRead)."""
    headers = {"Idempotency-Key": idempotency_key or new_id()}
    if expected_version is not None:
        headers["If-Match"] = f'"{expected_version}"'
    path = changing(place).path("commands", name)
    return Call("POST", path, Receipt.of, headers=headers, body=dict(body or {}), repeatable=True)


def batch(
    place: Place, commands: Sequence[Mapping[str, Any]], *, atomic: bool = False
) -> Call[list[Receipt | dict[str, Any]]]:
    """Commands in order, at most 500, each `{"name", "body", "id"?, "expected_version"?}`. Answers a receipt or a
    problem for each; with `atomic`, all are done or none and the first refusal is raised."""
    body = {"atomic": atomic, "commands": [{"id": new_id(), **each} for each in commands]}
    return Call("POST", changing(place).path("commands"), outcomes, body=body, repeatable=True)


def outcomes(answer: Mapping[str, Any]) -> list[Receipt | dict[str, Any]]:
    """The receipt or the problem of each command of a batch."""
    return [Receipt.of(each["receipt"]) if "receipt" in each else each["problem"] for each in answer["results"]]


def promote(
    place: Place, version: str, *, to: str, reason: str = "", force: bool = False, idempotency_key: str | None = None
) -> Call[Receipt]:
    """Gives a model version (`churn@3`) a stage. `force` takes the stage from the version that holds it."""
    body = {"model_version": version, "stage": to, "reason": reason, "force": force}
    return command(place, "promote-model-version", body, idempotency_key=idempotency_key)


def page(place: Place, params: Mapping[str, Any], cursor: str | None, limit: int) -> Call[Page[Resource]]:
    """A page of a table."""
    params = present({**params, "cursor": cursor, "limit": limit})
    return Call("GET", place.path(place.table), pages(place.table), params, moment=True, repeatable=True)


def get(place: Place, ref: str) -> Call[Resource]:
    """One entity with its children, by name, id or unambiguous beginning of an id. Raises NotFound."""
    path = place.path(place.table, str(ref))
    return Call("GET", path, lambda answer: entity(place.table, answer), moment=True, repeatable=True)


def counts(place: Place, /, *, by: str, **filters: Any) -> Call[dict[str, int]]:
    """How many entities have each value of a column."""
    path, params = place.path(place.table, "counts"), present({"by": by, **filters})
    return Call("GET", path, lambda answer: dict(answer["counts"]), params, moment=True, repeatable=True)


def history(place: Place, ref: str, cursor: str | None, limit: int) -> Call[Page[Resource]]:
    """A page of the changes of one entity, newest first."""
    path = place.path(place.table, str(ref), "history")
    return Call("GET", path, pages(""), present({"cursor": cursor, "limit": limit}), moment=True, repeatable=True)


def lineage(place: Place, ref: str, *, direction: str = "both", depth: int | None = None) -> Call[Resource]:
    """What an artifact version was made from and what was made of it: nodes and edges."""
    path = place.path("artifact-versions", str(ref), "lineage")
    return Call("GET", path, Resource, present({"direction": direction, "depth": depth}), moment=True, repeatable=True)


def diff(
    place: Place, before: Moment, after: Moment | None, kind: str | None, cursor: str | None, limit: int
) -> Call[Page[Resource]]:
    """A page of what differs between two moments."""
    bounds = {"from": written(before), "to": None if after is None else written(after)}
    params = present({**bounds, "kind": kind, "cursor": cursor, "limit": limit})
    return Call("GET", place.path("diff"), pages(""), params, repeatable=True)


def events(place: Place, filters: Mapping[str, Any], cursor: str | None, limit: int) -> Call[Page[Event]]:
    """A page of the ledger's events, newest first."""
    params = present({**filters, "cursor": cursor, "limit": limit})
    return Call("GET", place.path("events"), event_page, params, moment=True, repeatable=True)


def plan_rollback(place: Place, to: Moment, entities: Iterable[str] | None) -> Call[RollbackPlan]:
    """What a rollback would do; changes nothing."""
    body = {"to": written(to), "entities": None if entities is None else list(entities)}
    path = changing(place).path("rollbacks", "plan")
    return Call("POST", path, RollbackPlan, body=body, repeatable=True)


def apply_rollback(
    place: Place, plan: RollbackPlan, entities: Iterable[str] | None, *, reason: str, idempotency_key: str | None
) -> Call[Resource]:
    """Does what the plan says, if nothing of it changed since."""
    body = {
        "to_position": plan["to_position"],
        "planned_at_position": plan["planned_at_position"],
        "entities": None if entities is None else list(entities),
        "plan_id": plan["plan_id"],
        "reason": reason,
    }
    headers = {"Idempotency-Key": idempotency_key or new_id()}
    path = changing(place).path("rollbacks", "apply")
    return Call("POST", path, Resource, headers=headers, body=body, repeatable=True)


def replay_check(place: Place, *, until: int | None = None) -> Call[Resource]:
    """Rebuilds every table from the ledger up to a position and compares: `.equal`, `.first_difference`."""
    return Call("POST", place.path("replay-checks"), Resource, body={"until": until}, repeatable=True)


def changing(place: Place) -> Place:
    """The place, if it is the present."""
    if place.as_of:
        raise ReadOnlyMoment(f"this client sees the workspace as of {place.as_of}")
    return place


def pages(table: str) -> Callable[[Any], Page[Resource]]:
    """Reads a page of a table's entities, or of plain documents."""
    return lambda answer: Page([entity(table, item) for item in answer["items"]], answer.get("next"))


def event_page(answer: Any) -> Page[Event]:
    """Reads a page of events."""
    return Page([Event(item) for item in answer["items"]], answer.get("next"))
