"""Commands over HTTP, single and batched, against MLflow's server and a bare FastAPI application that do likewise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec
import uvloop

from tests.bench.load import Connection, connected
from tests.bench.peers import mlflow, sketch_server
from tests.bench.peers.programs import PeerDidNotStart
from tests.bench.processes import cpu_seconds, cpu_spent, shown_cpu
from tests.bench.report import Budget, Row, at_least
from tests.bench.stand import Stand
from tests.bench.timings import Timings, driven, one_after_another

CLIENTS = 16
BATCH_CLIENTS = 4
BATCH = 100
BASE = "/v1/workspaces/default/commands"
WARM_UP_SECONDS = 0.3

Request = Callable[[Connection], Awaitable[object]]


class Subject(NamedTuple):
    """What is asked of a server, how many commands one request holds, and the processes that pay for it."""

    name: str
    url: str
    clients: int
    request: Request
    pids: dict[str, int]
    commands: int = 1
    budget: Budget | None = None


class Measured(NamedTuple):
    """Requests of all rounds and the CPU time they took."""

    timings: Timings
    cpu: dict[str, float]


def measure(stand: Stand) -> list[Row]:
    """Rows of ours first; the ratio says how much more ours does than the peer."""
    with ExitStack() as stack:
        subjects = [*ours(stand)]
        if python := stand.peers_python("MLflow and FastAPI over HTTP"):
            for peer in (sketch_subjects, mlflow_subjects):
                try:
                    subjects += peer(stand, python, stack)
                except PeerDidNotStart as error:
                    stand.skipped.append(f"{peer.__name__}: {error}")
        return rows(subjects, uvloop.run(in_turns(stand, subjects)))


def sketch_subjects(stand: Stand, python: Path, stack: ExitStack) -> list[Subject]:
    sketch = stack.enter_context(sketch_server.running(stand, python))
    return [
        Subject("bare FastAPI command", sketch.url, CLIENTS, one_to_sketch, sketch.pids),
        Subject("bare FastAPI batch of 100", sketch.url, BATCH_CLIENTS, many_to_sketch, sketch.pids, BATCH),
    ]


def mlflow_subjects(stand: Stand, python: Path, stack: ExitStack) -> list[Subject]:
    server = stack.enter_context(mlflow.running(stand, python))
    return [
        Subject("MLflow log-param", server.url, CLIENTS, server.log_parameter, server.pids),
        Subject("MLflow create-run", server.url, CLIENTS, server.create_run, server.pids),
    ]


def ours(stand: Stand) -> list[Subject]:
    url, pids = stand.system.url, stand.system.pids
    return [
        Subject("HTTP command", url, CLIENTS, register, pids, budget=at_least(2_600)),
        Subject("HTTP batch of 100", url, BATCH_CLIENTS, register_many, pids, BATCH, at_least(8_000)),
    ]


async def in_turns(stand: Stand, subjects: list[Subject]) -> list[Measured]:
    """A slice each, round after round."""
    slices: list[list[Timings]] = [[] for _ in subjects]
    spent = [dict.fromkeys(subject.pids, 0.0) for subject in subjects]
    for number in range(stand.scale.rounds + 1):
        for at, subject in enumerate(subjects):
            seconds = stand.scale.slice_seconds * 2 if number else min(WARM_UP_SECONDS, stand.scale.slice_seconds)
            before = cpu_seconds(subject.pids)
            async with connected(subject.url, subject.clients) as connections:
                timings = await driven(
                    lambda client: subject.request(connections[client]),  # noqa: B023 - awaited before the next turn
                    subject.clients,
                    seconds=seconds,
                )
            if number:
                slices[at].append(timings)
                for name, seconds in cpu_spent(before, cpu_seconds(subject.pids)).items():
                    spent[at][name] += seconds
    return [Measured(one_after_another(parts), cpu) for parts, cpu in zip(slices, spent, strict=True)]


def rows(subjects: list[Subject], measured: list[Measured]) -> list[Row]:
    rates = {
        subject.name: result.timings.per_second * subject.commands
        for subject, result in zip(subjects, measured, strict=True)
    }
    return [row(subject, result, rates) for subject, result in zip(subjects, measured, strict=True)]


def row(subject: Subject, result: Measured, rates: dict[str, float]) -> Row:
    """A peer's ratio is ours against it, single commands against single ones; ours has none."""
    mine = "HTTP batch of 100" if subject.commands > 1 else "HTTP command"
    commands = len(result.timings.each) * subject.commands
    cpu = shown_cpu({"client": result.timings.cpu, **result.cpu}, commands)
    return Row(
        f"{subject.name}, {subject.clients} clients",
        rates[subject.name],
        "commands/s",
        "" if subject.name == mine else f"{mine} / this",
        None if subject.name == mine else rates[mine] / rates[subject.name],
        f"{result.timings.spread}; {cpu}",
        subject.budget,
    )


async def register(connection: Connection) -> None:
    """One small command; a failed one fails the bench."""
    body = b'{"name": "bench-%b"}' % uuid4().hex.encode()
    (await connection.post(f"{BASE}/register-pipeline", body, {"Idempotency-Key": str(uuid4())})).json()


async def register_many(connection: Connection, count: int = BATCH) -> int:
    """One batch; answers the position after it."""
    commands = [
        {"name": "register-pipeline", "body": {"name": f"bench-{uuid4().hex}"}, "id": str(uuid4())}
        for _ in range(count)
    ]
    answer = (await connection.post(BASE, msgspec.json.encode({"commands": commands}))).json()
    assert all("receipt" in result for result in answer["results"])
    return int(answer["position"])


async def one_to_sketch(connection: Connection) -> None:
    (await connection.post("/commands", b'{"name": "bench-%b"}' % uuid4().hex.encode())).json()


async def many_to_sketch(connection: Connection) -> None:
    names = [{"name": f"bench-{uuid4().hex}"} for _ in range(BATCH)]
    (await connection.post("/batch", msgspec.json.encode(names))).json()
