"""Clients that write to a workspace all the time, through several gateways, and what must be true in the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from tests.support.placed import Deployment
from tests.support.waiting import until

RETRY_SECONDS = 0.05
THINKING_SECONDS = 0.01
COMMAND_SECONDS_MAX = 30


class Writers:
    """Each registers pipelines one after the other, sending a command with its id until it is acknowledged; every
    third is followed by a command that changes nothing."""

    def __init__(self, gateways: Sequence[Deployment], workspace: str) -> None:
        self.acknowledged: dict[UUID, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.seconds_max = 0.0
        self._gateways = gateways
        self._workspace = workspace
        self._stopping = False

    async def acknowledge_more(self, count: int) -> None:
        """Waits until that many more commands were acknowledged."""
        target = len(self.acknowledged) + count

        async def reached() -> bool:
            return len(self.acknowledged) >= target or bool(self.failures)

        await until(reached, seconds_max=COMMAND_SECONDS_MAX)

    def stop(self) -> None:
        self._stopping = True

    async def write(self, number: int) -> None:
        gateway = self._gateways[number % len(self._gateways)]
        for turn in itertools.count():
            if self._stopping:
                return
            name = f"pipeline-{number}-{turn}"
            await self._send(gateway, "register-pipeline", {"name": name})
            if turn % 3 == 0:
                await self._send(gateway, "update-pipeline", {"pipeline": name, "description": ""})
            await asyncio.sleep(THINKING_SECONDS)  # a client that writes at full speed would only measure the machine

    async def _send(self, gateway: Deployment, command: str, body: dict[str, Any]) -> None:
        command_id = uuid4()
        began = time.monotonic()
        while time.monotonic() < began + COMMAND_SECONDS_MAX:
            answer = await gateway.command(self._workspace, command, body, command_id=command_id)
            if answer.status_code == 200:
                self.acknowledged[command_id] = {"command": command, "body": body, "receipt": answer.json()}
                self.seconds_max = max(self.seconds_max, time.monotonic() - began)
                return
            if not answer.json().get("retryable"):
                self.failures.append(answer.text)
                return
            await asyncio.sleep(RETRY_SECONDS)  # what any client does between two tries
        self.failures.append(f"{command} was never acknowledged")


@asynccontextmanager
async def writing(gateways: Sequence[Deployment], workspace: str, *, writers: int = 4) -> AsyncIterator[Writers]:
    """Writes until the end of the context, where no command may have failed."""
    made = Writers(gateways, workspace)
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(made.write(number))
        try:
            yield made
        finally:
            made.stop()
    assert made.failures == []


async def assert_whole(gateway: Deployment, workspace: str, writers: Writers, *, on: str) -> None:
    """What the workspace holds where it lives now, against what the clients were told."""
    services, workspace_id = gateway.services(on), gateway.workspaces[workspace]
    head = (await services.reader.head(workspace_id)).position
    events = await services.reader.read(workspace_id, after=0)
    assert [event.position for event in events] == list(range(1, head + 1)), "a position is missing or doubled"
    created = {
        sent["receipt"]["id"]: sent["receipt"]["first_position"]
        for sent in writers.acknowledged.values()
        if sent["receipt"]["events"]
    }
    recorded = {str(event.stream.id): event.position for event in events if event.type == "pipeline.registered"}
    assert created.items() <= recorded.items(), "an acknowledged command is lost, or somewhere else"
    assert len(recorded) == len(events), "a pipeline was registered twice"
    for command_id, sent in list(writers.acknowledged.items())[:: max(1, len(writers.acknowledged) // 40)]:
        repeat = await gateway.command(workspace, sent["command"], sent["body"], command_id=command_id)
        assert repeat.json() == {**sent["receipt"], "repeated": True, "position": repeat.json()["position"]}
    assert (await services.reader.head(workspace_id)).position == head, "a repeat acted twice"
    await services.projector.catch_up(workspace_id)
    check = (await gateway.client.post(f"/v1/workspaces/{workspace}/replay-checks", json={})).json()
    assert check["equal"], check["first_difference"]
    assert check["position"] == head
