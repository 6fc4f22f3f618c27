"""A gateway on a test's own database: in this process, or as the program that people run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.problems import PROBLEM_TYPE
from gateway.services import Services
from gateway.settings import GatewaySettings
from runners.embedded import free_port
from tests.support.servers import Database

WORKSPACE = "team"
START_SECONDS_MAX = 20.0
POLL_SECONDS = 0.02


@dataclass
class Gateway:
    """An application in this process with a workspace, and a client of it."""

    app: Starlette
    client: httpx2.AsyncClient
    services: Services
    workspace_id: UUID

    async def command(
        self, name: str, body: dict[str, Any], *, workspace: str = WORKSPACE, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """One command."""
        return await self.client.post(f"/v1/workspaces/{workspace}/commands/{name}", json=body, headers=headers)

    async def done(self, name: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """The receipt of a command that must be accepted."""
        response = await self.command(name, body, headers=headers)
        assert response.status_code == 200, response.text
        receipt: dict[str, Any] = response.json()
        return receipt

    async def batch(self, **body: Any) -> httpx2.Response:
        return await self.client.post(f"/v1/workspaces/{WORKSPACE}/commands", json=body)

    async def get(self, path: str, **query: Any) -> httpx2.Response:
        """Of the workspace."""
        return await self.client.get(f"/v1/workspaces/{WORKSPACE}/{path}", params=query or None)

    async def found(self, path: str, **query: Any) -> dict[str, Any]:
        """A query's answer, after the tables have caught up."""
        await self.project()
        response = await self.get(path, **query)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        return await self.client.post(f"/v1/workspaces/{WORKSPACE}/{path}", json=body, headers=headers)

    async def project(self) -> None:
        """What the projector program does, up to the heads."""
        for workspace in await self.services.reader.heads():
            await self.services.projector.catch_up(workspace)

    async def refuses(self, request: Awaitable[httpx2.Response], *, code: str, status: int) -> dict[str, Any]:
        """The problem, once its shape was checked and that no ledger moved."""
        before = await self.services.reader.heads()
        response = await request
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == PROBLEM_TYPE
        problem: dict[str, Any] = response.json()
        assert (problem["code"], problem["status"]) == (code, status)
        assert problem["type"] == f"urn:everline:problem:{code}"
        assert problem["detail"]
        assert problem["request_id"] == response.headers["x-request-id"]
        assert await self.services.reader.heads() == before
        return problem


@asynccontextmanager
async def open_gateway(database: Database, *, witness_key: Path | None = None) -> AsyncIterator[Gateway]:
    """An application in this process."""
    app = create_app(GatewaySettings(dsn=database.app_dsn, witness_key=witness_key and str(witness_key)))
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        await services.projector.start()
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8237") as client:
            created = await client.post("/v1/workspaces/control/commands/create-workspace", json={"name": WORKSPACE})
            assert created.status_code == 200, created.text
            yield Gateway(app, client, services, UUID(created.json()["id"]))


class GatewayProgram:
    """`python -m gateway` and its address."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


def environment(database: Database, **settings: str) -> dict[str, str]:
    return {**os.environ, "EVERLINE_DSN": database.app_dsn, **settings}


@asynccontextmanager
async def gateway_program(database: Database) -> AsyncIterator[GatewayProgram]:
    """The program on a free port, answering."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment(database, EVERLINE_PORT=str(port))
    )
    program = GatewayProgram(process, f"http://127.0.0.1:{port}")
    try:
        await answering(program)
        yield program
    finally:
        await program.stop()


async def answering(program: GatewayProgram) -> None:
    """Waits until it serves; an AssertionError when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    async with httpx2.AsyncClient(base_url=program.url) as client:
        while True:
            assert program.process.returncode is None, "the gateway ended"
            assert time.monotonic() < deadline, "the gateway does not answer"
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(POLL_SECONDS)
