"""A gateway in this process over several databases, and what lies on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2

from gateway.app import create_app
from gateway.placements import NOT_ASKED, Placements
from gateway.services import Services
from gateway.settings import GatewaySettings
from ledger.placement import MAIN
from ledger.postgres.placing import presence_of
from ledger.values import CONTROL_WORKSPACE
from runners.settings import WorkerSettings
from tests.support.servers import Database
from tests.support.waiting import until


def dsns(databases: Mapping[str, Database]) -> str:
    """The setting that names the databases beside the home."""
    return ",".join(f"{alias}={one.app_dsn}" for alias, one in databases.items() if alias != MAIN)


@dataclass
class Deployment:
    """A gateway, its client, and the databases below."""

    databases: Mapping[str, Database]
    placements: Placements
    client: httpx2.AsyncClient
    workspaces: dict[str, UUID] = field(default_factory=lambda: {"control": CONTROL_WORKSPACE})

    def services(self, alias: str) -> Services:
        return self.placements.everywhere[alias]

    def worker_settings(self, **rest: Any) -> WorkerSettings:
        return WorkerSettings(dsn=self.databases[MAIN].app_dsn, dsns=dsns(self.databases), **rest)

    async def creation(self, name: str, **rest: Any) -> httpx2.Response:
        return await self.client.post("/v1/workspaces/control/commands/create-workspace", json={"name": name, **rest})

    async def create(self, name: str, **rest: Any) -> UUID:
        """A workspace that must come to be."""
        created = await self.creation(name, **rest)
        assert created.status_code == 200, created.text
        self.workspaces[name] = UUID(created.json()["id"])
        return self.workspaces[name]

    async def register(self, workspace: str, pipeline: str, **headers: str) -> httpx2.Response:
        """One command."""
        path = f"/v1/workspaces/{workspace}/commands/register-pipeline"
        return await self.client.post(path, json={"name": pipeline}, headers=headers)

    async def command(self, workspace: str, name: str, body: dict[str, Any], *, command_id: UUID) -> httpx2.Response:
        """One command with its id."""
        path = f"/v1/workspaces/{workspace}/commands/{name}"
        return await self.client.post(path, json=body, headers={"Idempotency-Key": str(command_id)})

    async def presences(self, workspace: str) -> dict[str, str]:
        """What each PostgreSQL says of a workspace that it knows."""
        found = {}
        for alias, services in self.placements.everywhere.items():
            async with services.pool.connection() as connection:
                seen = await presence_of(connection, self.workspaces[workspace])
            if seen is not None:
                found[alias] = seen.state
        return found

    async def pipelines(self, workspace: str, **query: Any) -> list[str]:
        """What the list of pipelines shows."""
        answer = await self.client.get(f"/v1/workspaces/{workspace}/pipelines", params=query)
        return [row["name"] for row in answer.json().get("items", [])]

    async def heads(self, alias: str) -> dict[str, int]:
        """The positions of the ledgers that live there, by the names of their workspaces."""
        names = {id_: name for name, id_ in self.workspaces.items()}
        return {names[id_]: position for id_, position in (await self.services(alias).reader.heads()).items()}

    async def project(self) -> None:
        """What the projector program does, up to the heads."""
        for alias in self.placements.everywhere:
            for workspace in await self.services(alias).reader.heads():
                await self.services(alias).projector.catch_up(workspace)


@asynccontextmanager
async def open_deployment(databases: Mapping[str, Database], *, wait: bool = True) -> AsyncIterator[Deployment]:
    """With `wait`, opened when every database that can be reached was."""
    app = create_app(GatewaySettings(dsn=databases[MAIN].app_dsn, dsns=dsns(databases)))
    async with app.router.lifespan_context(app):
        placements: Placements = app.state.placements
        if wait:
            await settled(placements)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8237") as client:
            yield Deployment(databases, placements, client)


async def settled(placements: Placements) -> None:
    """Until each PostgreSQL was reached, or was found to be away."""

    async def asked() -> bool:
        return NOT_ASKED not in placements.away.values()

    await until(asked)
