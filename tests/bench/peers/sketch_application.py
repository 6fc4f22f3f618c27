"""A bare FastAPI application over the bare group commit: what a command costs without a ledger around it.

Runs in the peers' environment: `uvicorn tests.bench.peers.sketch_application:app`, told by SKETCH_DSN.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI
from pydantic import BaseModel

from tests.bench.sketch import Sketch, open_sketch


class RegisterPipeline(BaseModel):
    """The same command as the one that is sent to Everline."""

    name: str


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    async with open_sketch(os.environ["SKETCH_DSN"]) as sketch:
        application.state.sketch = sketch
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/commands")
async def command(body: RegisterPipeline) -> dict[str, str]:
    return await append(body)


@app.post("/batch")
async def batch(body: list[RegisterPipeline]) -> list[dict[str, str]]:
    return await asyncio.gather(*(append(one) for one in body))


async def append(body: RegisterPipeline) -> dict[str, str]:
    sketch: Sketch = app.state.sketch
    id_ = uuid4()
    await sketch.append(id_, uuid4(), body.model_dump_json().encode())
    return {"id": str(id_)}
