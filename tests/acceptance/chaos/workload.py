"""Clients as people's programs are: they choose at random among few names, so that they meet, ask either gateway,
repeat what stays unanswered under the same id, and sometimes ask both gateways the same thing at once.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from tests.acceptance.chaos.asking import Asking
from tests.acceptance.chaos.model import REUSED, Asked, Document, Model, Seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIPELINE_NAMES = [f"pipeline-{letter}" for letter in "abcdefghijkl"]
MODEL_NAMES = ["churn", "fraud"]
STAGES = ["staging", "production"]
REMEMBERED_MAX = 200
THINK_SECONDS = (0.0, 0.06)
STEPS = ("load", "train")
DIGEST = "0" * 64
LIST_LIMIT = 100
QUIET_SECONDS_MAX = 100.0


@dataclass
class Shelf:
    """What is known to exist in one workspace, for all clients."""

    pipelines: list[UUID] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)
    model_versions: list[UUID] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)


class Pace:
    """Lets clients work, or waits until all of them rest between two actions."""

    def __init__(self) -> None:
        self._may_work = asyncio.Event()
        self._may_work.set()
        self._working = 0
        self._quiet = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One action of one client."""
        await self._may_work.wait()
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            async with self._quiet:
                self._quiet.notify_all()

    async def rest(self) -> None:
        """Returns when nothing is under way. Raises TimeoutError for a client that waits for its answer for ever."""
        self._may_work.clear()
        async with asyncio.timeout(QUIET_SECONDS_MAX), self._quiet:
            await self._quiet.wait_for(lambda: self._working == 0)

    def go_on(self) -> None:
        self._may_work.set()


class Client:
    """One program with a chance of its own."""

    def __init__(self, seed: str, asking: Asking, shelves: dict[str, Shelf], pace: Pace) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - to be repeatable is the point
        self._asking = asking
        self._model: Model = asking.model
        self._shelves = shelves
        self._pace = pace
        self._asked: list[Asked] = []
        self._runs: list[tuple[str, UUID, list[tuple[str, Document]]]] = []

    async def work(self) -> None:
        """For ever."""
        actions = {
            self.command: 40,
            self.batch: 14,
            self.twins: 10,
            self.repeat: 8,
            self.reuse_an_id: 3,
            self.go_on_with_a_run: 16,
            self.list_now: 8,
            self.list_as_of: 10,
            self.roll_back: 3,
        }
        while True:
            async with self._pace.turn():
                (action,) = self._chance.choices(list(actions), weights=list(actions.values()))
                await action()
            await asyncio.sleep(self._chance.uniform(*THINK_SECONDS))

    async def command(self) -> None:
        """One command, until it is answered."""
        asked = self._some_command(self._some_workspace())
        self._note(asked, *await self._asking.ask([asked], chance=self._chance))

    async def batch(self) -> None:
        """Several commands at once."""
        workspace = self._some_workspace()
        commands = [self._some_command(workspace) for _ in range(self._chance.randint(2, 6))]
        atomic = self._chance.random() < 0.5
        for asked, answer in zip(
            commands, await self._asking.ask(commands, chance=self._chance, atomic=atomic), strict=True
        ):
            self._note(asked, answer)

    async def twins(self) -> None:
        """The same command at the same time, at any gateway."""
        asked = self._some_command(self._some_workspace())
        answers = await asyncio.gather(
            *(self._asking.ask([asked], chance=random.Random(self._chance.random())) for _ in range(2))  # noqa: S311
        )
        self._note(asked, *answers[0])

    async def repeat(self) -> None:
        """A command that was answered long ago."""
        if self._asked:
            await self._asking.ask([self._chance.choice(self._asked)], chance=self._chance)

    async def reuse_an_id(self) -> None:
        """Another command under the id of one that was recorded."""
        if not self._asked:
            return
        was = self._chance.choice(self._asked)
        other = Asked(was.workspace, was.id, "register-pipeline", {"name": f"reused-{self._chance.random()}"})
        answer = await self._asking.ask_apart(other, chance=self._chance)
        if answer is not None and answer.get("code") != REUSED:
            self._model.find(f"the id of {was} was reused for {other}, and the answer was {answer}")

    async def go_on_with_a_run(self) -> None:
        """The next step of a run that this client makes, or a new run."""
        if not self._runs or self._chance.random() < 0.2:
            self._runs.append(self._new_run())
        workspace, _, left = self._runs[0]
        name, body = left.pop(0)
        if not left:
            self._runs.pop(0)
        await self._asking.ask([Asked(workspace, self._new_id(), name, body)], chance=self._chance)

    async def list_now(self) -> None:
        """A list that must show at least what somebody was told already."""
        workspace = self._some_workspace()
        wanted = self._model.known[workspace]
        found = await self._asking.get(workspace, "pipelines", {"min_position": wanted}, chance=self._chance)
        if found is not None and found["as_of"]["position"] < wanted:
            self._model.find(f"{workspace} with min_position {wanted} answered {found['as_of']}")

    async def list_as_of(self) -> None:
        """A list as of a position or a time, sometimes one that was asked before."""
        workspace = self._some_workspace()
        moments = self._shelves[workspace].moments
        moment = self._chance.choice(moments) if moments and self._chance.random() < 0.5 else self._moment(workspace)
        query = {"as_of": moment, "limit": LIST_LIMIT}
        found = await self._asking.get(workspace, "pipelines", query, chance=self._chance)
        if found is None:
            return
        moments.append(moment)
        del moments[:-REMEMBERED_MAX]
        items = {item["id"]: (item["name"], item["description"]) for item in found["items"]}
        self._model.listed(workspace, moment, Seen(found["as_of"]["position"], items))

    async def roll_back(self) -> None:
        """A pipeline to what it was, by a plan that may be outdated when it is applied."""
        workspace = self._some_workspace()
        shelf = self._shelves[workspace]
        if not shelf.pipelines:
            return
        scope = {"entities": [f"pipeline/{self._chance.choice(shelf.pipelines)}"]}
        to = self._chance.randint(1, max(1, self._model.known[workspace]))
        plan = await self._asking.plan(workspace, {"to": str(to), **scope}, chance=self._chance)
        if plan is None:
            return
        approved = {name: plan[name] for name in ("to_position", "planned_at_position", "plan_id")}
        body = {**approved, **scope, "reason": "chaos"}
        asked = Asked(workspace, self._new_id(), "record-rollback", body)
        await self._asking.ask([asked], chance=self._chance)

    def _some_command(self, workspace: str) -> Asked:
        shelf = self._shelves[workspace]
        if not shelf.pipelines or self._chance.random() < 0.3:
            return self._registration(workspace)
        if not shelf.model_versions or self._chance.random() < 0.15:
            body: Document = {"id": str(self._new_id()), "model": self._chance.choice(MODEL_NAMES)}
            return Asked(workspace, self._new_id(), "register-model-version", body)
        if self._chance.random() < 0.3:
            return self._promotion(workspace, shelf)
        return self._change(workspace, shelf)

    def _registration(self, workspace: str) -> Asked:
        body = {"id": str(self._new_id()), "name": self._chance.choice(PIPELINE_NAMES)}
        return Asked(workspace, self._new_id(), "register-pipeline", body)

    def _promotion(self, workspace: str, shelf: Shelf) -> Asked:
        version = self._chance.choice(shelf.model_versions)
        body = {
            "model_version": str(version),
            "stage": self._chance.choice([*STAGES, "archived"]),
            "force": self._chance.random() < 0.4,
        }
        return Asked(workspace, self._new_id(), "promote-model-version", body, self._expected(shelf, version))

    def _change(self, workspace: str, shelf: Shelf) -> Asked:
        pipeline = self._chance.choice(shelf.pipelines[-40:])
        body: Document = {"pipeline": str(pipeline)}
        (name,) = self._chance.choices(("update-pipeline", "delete-pipeline", "restore-pipeline"), weights=(6, 3, 2))
        if name == "update-pipeline":
            body["description"] = f"{self._chance.random():.6f}"
            if self._chance.random() < 0.3:
                body["name"] = self._chance.choice(PIPELINE_NAMES)
        return Asked(workspace, self._new_id(), name, body, self._expected(shelf, pipeline))

    def _expected(self, shelf: Shelf, entity: UUID) -> int | None:
        return shelf.versions[entity] if entity in shelf.versions and self._chance.random() < 0.5 else None

    def _new_run(self) -> tuple[str, UUID, list[tuple[str, Document]]]:
        """A run and everything that will be asked of it."""
        workspace, run = self._some_workspace(), self._new_id()
        ref = {"run": str(run)}
        left: list[tuple[str, Document]] = [
            (
                "create-run",
                {"id": str(run), "name": f"run-{run}", "snapshot": snapshot_of(workspace), "stack": "plain"},
            ),
            ("start-run", ref),
        ]
        for step in STEPS:
            left.append(("start-step", {**ref, "step": step, "attempt": 1}))
            values = {"loss": self._chance.random()}
            left.append(("log-metadata", {"resource_kind": "run", "resource": str(run), "values": values}))
            left.append(("complete-step", {**ref, "step": step, "attempt": 1}))
        return workspace, run, [*left, ("complete-run", ref)]

    def _note(self, asked: Asked, answer: Document) -> None:
        """Remembers what others may now act on."""
        if "first_position" not in answer:
            return
        self._asked.append(asked)
        del self._asked[:-REMEMBERED_MAX]
        shelf, entity = self._shelves[asked.workspace], UUID(answer["id"])
        shelf.versions[entity] = answer["version"]
        known = {"register-pipeline": shelf.pipelines, "register-model-version": shelf.model_versions}.get(asked.name)
        if known is not None and entity not in known:
            known.append(entity)

    def _moment(self, workspace: str) -> str:
        if self._chance.random() < 0.4:
            return datetime.now(UTC).isoformat()
        return str(self._chance.randint(1, max(1, self._model.known[workspace])))

    def _some_workspace(self) -> str:
        return self._chance.choice(list(self._shelves))

    def _new_id(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128), version=4)


def snapshot_of(workspace: str) -> str:
    """The id of the one snapshot of a workspace."""
    return str(UUID(int=random.Random(workspace).getrandbits(128), version=4))  # noqa: S311


async def furnish(asking: Asking, workspaces: list[str]) -> None:
    """The workspaces, and in each what runs need."""
    chance = random.Random(",".join(workspaces))  # noqa: S311
    for workspace in workspaces:
        commands = [("control", "create-workspace", {"name": workspace})]
        await asking.ask([Asked(ws, _id(chance), name, body) for ws, name, body in commands], chance=chance)
        wanted: list[tuple[str, Document]] = [
            ("register-component", component("here", "orchestrator", {})),
            ("register-component", component("disk", "artifact_store", {"path": "/nowhere"})),
            ("register-stack", {"name": "plain", "components": {"orchestrator": "here", "artifact_store": "disk"}}),
            (
                "create-snapshot",
                {"id": snapshot_of(workspace), "pipeline": "digits", "digest": DIGEST, "steps": steps()},
            ),
        ]
        for name, body in wanted:
            (answer,) = await asking.ask([Asked(workspace, _id(chance), name, body)], chance=chance)
            assert "first_position" in answer, answer


def component(name: str, component_type: str, configuration: Document) -> Document:
    return {"name": name, "component_type": component_type, "flavor": "local", "configuration": configuration}


def steps() -> list[Document]:
    return [
        {"name": step, "source": "m.f", "code_digest": DIGEST, "upstream": list(STEPS[:number])}
        for number, step in enumerate(STEPS)
    ]


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)
