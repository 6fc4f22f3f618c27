"""One ledger as it stands, read in one view straight from PostgreSQL, and the world that its events describe.

The rules here are written anew, not taken from the deciders: that is what makes them worth comparing with.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from ledger.postgres.read import COLUMNS, envelope

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.envelope import Envelope

EXCLUSIVE_STAGES = ("staging", "production")


class Command(NamedTuple):
    """A row of the recorded commands."""

    first: int
    last: int
    stream: str


@dataclass
class History:
    """What PostgreSQL holds of one workspace."""

    name: str
    workspace_id: UUID
    position: int
    frontier: bytes
    events: list[Envelope]
    leaves: list[bytes]
    commands: dict[UUID, Command]
    versions: dict[str, int]
    claims: dict[str, str]


async def read_history(dsn: str, name: str, workspace_id: UUID) -> History:
    """Everything as of one moment."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():

            async def rows(query: str) -> list[tuple[Any, ...]]:
                cursor = await connection.execute(query.encode(), (workspace_id,), binary=True)
                return await cursor.fetchall()

            heads = await rows("SELECT position, frontier FROM ledger.heads WHERE workspace_id = %s")
            stored = await rows(f"SELECT {COLUMNS} FROM ledger.events WHERE workspace_id = %s ORDER BY position")
            commands = await rows(
                "SELECT command_id, first_position, last_position, stream_kind || '/' || stream_id"
                " FROM ledger.commands WHERE workspace_id = %s"
            )
            streams = await rows("SELECT kind || '/' || id, version FROM ledger.streams WHERE workspace_id = %s")
            claims = await rows(
                "SELECT key, stream_kind || '/' || stream_id FROM ledger.claims WHERE workspace_id = %s"
            )
    return History(
        name=name,
        workspace_id=workspace_id,
        position=heads[0][0],
        frontier=heads[0][1],
        events=[envelope(row) for row in stored],
        leaves=[row[15] for row in stored],
        commands={row[0]: Command(*row[1:]) for row in commands},
        versions=dict(streams),
        claims=dict(claims),
    )


class Held(NamedTuple):
    """Who held something unique, from one position up to and without another (None: still)."""

    stream: str
    since: int
    until: int | None


class Shown(NamedTuple):
    """A pipeline as it was from a position on."""

    since: int
    name: str
    description: str
    deleted: bool


@dataclass
class World:
    """What the events of one workspace say, folded in order. `broken` lists what cannot follow what came before."""

    broken: list[str] = field(default_factory=list)
    holders: dict[str, list[Held]] = field(default_factory=lambda: defaultdict(list))
    pipelines: dict[str, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    stages: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    runs: dict[str, set[str]] = field(default_factory=dict)
    _rollback: UUID | None = None
    _later: list[tuple[str, Envelope]] = field(default_factory=list)

    def apply(self, event: Envelope) -> None:
        """The next event. What a rollback takes must be free when the rollback is over, not in its middle."""
        if event.correlation_id != self._rollback:
            self.settle()
        if event.type == "rollback.applied":
            self._rollback = event.correlation_id
        rules: dict[str, Callable[[Envelope, dict[str, Any]], None]] = {
            "pipeline": self._pipeline,
            "model": self._model,
            "model_version": self._model_version,
            "run": self._run,
            "step": self._run,
        }
        rule = rules.get(event.type.partition(".")[0])
        if rule is not None:
            rule(event, msgspec.json.decode(event.data))

    def settle(self) -> None:
        """The rollback is over: what was taken while it was held has to be free by now, if it is still wanted."""
        later, self._later, self._rollback = self._later, [], None
        for key, event in later:
            if self._wants(event.stream, key):
                self._take(key, event)

    def _wants(self, stream: str, key: str) -> bool:
        """Whether the stream, as it is now, holds this name or stage."""
        if stream in self.pipelines:
            now = self.pipelines[stream][-1]
            return not now.deleted and key == f"pipeline:{now.name}"
        return key == f"model_version:{self.models.get(stream)}:{self.stages.get(stream)}"

    def holder(self, key: str) -> str | None:
        """Who holds it now."""
        held = self.holders[key]
        return held[-1].stream if held and held[-1].until is None else None

    def pipelines_at(self, position: int) -> dict[str, tuple[str, str]]:
        """The pipelines that a list as of a position shows: id -> name and description."""
        found = {}
        for stream, versions in self.pipelines.items():
            now = next((shown for shown in reversed(versions) if shown.since <= position), None)
            if now is not None and not now.deleted:
                found[stream.partition("/")[2]] = (now.name, now.description)
        return found

    def _take(self, key: str, event: Envelope) -> None:
        if (holder := self.holder(key)) is not None and holder != event.stream:
            if event.correlation_id == self._rollback:
                self._later.append((key, event))
                return
            self._break(event, f"{key} is held by {holder}")
        if holder is None:
            self.holders[key].append(Held(event.stream, event.position, None))

    def _release(self, key: str, event: Envelope) -> None:
        held = self.holders[key]
        if held and held[-1].stream == event.stream and held[-1].until is None:
            held[-1] = held[-1]._replace(until=event.position)

    def _pipeline(self, event: Envelope, data: dict[str, Any]) -> None:
        versions = self.pipelines[event.stream]
        if event.type == "pipeline.registered":
            now = Shown(event.position, data["name"], data.get("description", ""), deleted=False)
        else:
            was = versions[-1]
            changed = {name: data[name] for name in ("name", "description") if name in data}
            now = was._replace(since=event.position, deleted=event.type == "pipeline.deleted", **changed)
            if was.deleted == now.deleted and event.type != "pipeline.updated":
                self._break(event, f"the pipeline is {was}")
            self._release(f"pipeline:{was.name}", event)
        versions.append(now)
        if not now.deleted:
            self._take(f"pipeline:{now.name}", event)

    def _model(self, event: Envelope, data: dict[str, Any]) -> None:
        if event.type == "model.registered":
            self._take(f"model:{data['name']}", event)

    def _model_version(self, event: Envelope, data: dict[str, Any]) -> None:
        if event.type == "model_version.registered":
            model = self.models[event.stream] = data["model_id"]
            self.numbers[model] += 1
            if data["number"] != self.numbers[model]:
                self._break(event, f"number {data['number']} instead of {self.numbers[model]}")
            return
        model, was = self.models[event.stream], self.stages.get(event.stream, "none")
        self._release(f"model_version:{model}:{was}", event)
        self.stages[event.stream] = data["stage"]
        if data["previous_stage"] != was:
            self._break(event, f"it was in {was}")
        if data["stage"] in EXCLUSIVE_STAGES:
            self._take(f"model_version:{model}:{data['stage']}", event)

    def _run(self, event: Envelope, data: dict[str, Any]) -> None:
        """Everything in a run of the workload happens once, and every step between its start and its end."""
        done = self.runs.setdefault(event.stream, set())
        what = f"{event.type} {data['step']}" if event.type.startswith("step.") else event.type
        if what in done:
            self._break(event, "it happened before")
        before = {
            "run.started": {"run.created"},
            "run.completed": {"run.started"},
            f"step.started {data.get('step')}": {"run.started"},
            f"step.completed {data.get('step')}": {f"step.started {data.get('step')}"},
        }.get(what, set())
        if not before <= done or (event.type.startswith("step.") and "run.completed" in done):
            self._break(event, f"only {sorted(done)} happened before")
        done.add(what)

    def _break(self, event: Envelope, why: str) -> None:
        self.broken.append(f"position {event.position} {event.type} {event.stream}: {why}")


def world_of(history: History) -> World:
    """The whole history, folded."""
    world = World()
    for event in history.events:
        world.apply(event)
    world.settle()
    return world
