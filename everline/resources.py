"""What the server answers, as frozen objects: fields are attributes (`run.status`), `run["status"]` is the raw value.

Times are datetimes as attributes. Which tables there are stands in `everline/tables.py`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from everline.tables import TABLES

if TYPE_CHECKING:
    from everline.client import Connection

T = TypeVar("T")
Moment = int | str | datetime
"""A ledger position, an RFC 3339 time, or a datetime."""

HTML_CELL_LENGTH_MAX = 200

TABLE_PATHS = tuple(known.path for known in TABLES)
CONTROL_TABLES = frozenset(known.path for known in TABLES if known.control)
"""Tables of the control ledger, which every workspace shares."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and the cursor of the page after them."""

    items: list[T]
    next: str | None


@dataclass(frozen=True)
class Receipt:
    """The answer to an accepted command: the entity it changed and where its events stand in the ledger."""

    command_id: str
    kind: str
    id: str
    version: int
    first_position: int
    last_position: int
    position: int
    repeated: bool
    events: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Receipt:
        """From the server's document."""
        fields = {name: answer[name] for name in cls.__dataclass_fields__ if name != "events"}
        return cls(**fields, events=tuple(answer["events"]))


class Resource(Mapping[str, Any]):
    """A document of the server. Compare by content; ask again to see changes."""

    __slots__ = ("_connection", "_data")
    _connection: Connection | None
    _data: Mapping[str, Any]

    def __init__(self, data: Mapping[str, Any], connection: Connection | None = None) -> None:
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "_connection", connection)

    def __getitem__(self, name: str) -> Any:
        return self._data[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._data[name]
        except KeyError:
            known = ", ".join(self._data)
            raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {known}") from None
        return datetime.fromisoformat(value) if name.endswith("_at") and isinstance(value, str) else value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("resources are read-only: change them with a command")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._data]

    def __repr__(self) -> str:
        shown = [f"{name}={self._data[name]!r}" for name in ("name", "id", "status") if name in self._data]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td>{html.escape(str(value)[:HTML_CELL_LENGTH_MAX])}</td></tr>"
            for name, value in self._data.items()
        )
        return f"<table>{rows}</table>"

    def bound_to(self, connection: Connection) -> None:
        """Remembers whom to ask for what belongs to it; done once by the client."""
        object.__setattr__(self, "_connection", connection)


class Event(Resource):
    """An event of the ledger: `position`, `type`, `actor`, `data`, ..."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Event({self['position']}, {self['type']!r}, {self.get('entity_name') or self.get('stream')!r})"


class RollbackPlan(Resource):
    """What a rollback would do: `entities` with their changes, and `not_undone` with reasons."""

    __slots__ = ()


class ArtifactVersion(Resource):
    """A stored value: `load()` brings it back."""

    __slots__ = ()

    def load(self) -> Any:
        """The value, checked against its recorded hash. Raises ArtifactNotLoadable and IntegrityError."""
        from everline.artifacts.storing import load_version

        return load_version(self, store=self._store_configuration())

    def _store_configuration(self) -> Mapping[str, Any]:
        """How to reach the store; a path of this machine needs nothing."""
        store_id = self._data.get("artifact_store_id")
        if "://" not in self._data["uri"] or not store_id or self._connection is None:
            return {}
        with self._connection.asking() as client:
            return dict(client.components.get(store_id)["configuration"])


class Step(Resource):
    """A step of a run."""

    __slots__ = ()

    def output(self, name: str = "output") -> ArtifactVersion:
        """One of its outputs. Raises KeyError when there is none of that name."""
        outputs = self._data.get("outputs") or {}
        if name not in outputs:
            raise KeyError(f"step {self._data['name']!r} has no output {name!r}; it has {', '.join(outputs) or 'none'}")
        if self._connection is None:
            raise KeyError("this step was not read by a client")
        with self._connection.asking() as client:
            version = client.artifact_versions.get(outputs[name])
        return ArtifactVersion(dict(version), self._connection)


class Run(Resource):
    """A run with its steps by name."""

    __slots__ = ()

    @property
    def steps(self) -> dict[str, Step]:
        """The steps by name, in order. Only a run that was asked for by itself has them."""
        return {item["name"]: Step(item, self._connection) for item in self._data["steps"]["items"]}


_CLASSES: Mapping[str, type[Resource]] = {"runs": Run, "steps": Step, "artifact-versions": ArtifactVersion}


def entity(table: str, data: Mapping[str, Any]) -> Resource:
    """The resource for a row of a table."""
    return _CLASSES.get(table, Resource)(data)
