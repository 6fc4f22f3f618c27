"""One run: furnish, then break and check in small groups while clients work, and report."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from ledger.values import CONTROL_WORKSPACE
from tests.acceptance.chaos.asking import Asking
from tests.acceptance.chaos.checks import Evidence, check
from tests.acceptance.chaos.cluster import Cluster
from tests.acceptance.chaos.faults import Faults, plan, targets
from tests.acceptance.chaos.followers import StreamFollower, SubscriptionFollower
from tests.acceptance.chaos.history import History, read_history
from tests.acceptance.chaos.model import Model
from tests.acceptance.chaos.workload import Client, Pace, Shelf, furnish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CLIENTS = 12
WORKSPACES = ["red", "green", "blue"]
FAULTS_PER_GROUP = 12
LAST_FAULTS_SHOWN = 30
FINDINGS_SHOWN_MAX = 20
FOLLOWER = "follower"


@dataclass
class Report:
    """What a run came to."""

    seed: int
    faults: int = 0
    checks: int = 0
    seconds: float = 0.0
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """For people: counts, and for a failure what was found and the last faults before it."""
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        what = f"{self.faults} faults, {self.checks} times checked, {self.seconds:.0f} s, {self.events} events"
        lines = [f"seed {self.seed}: {what}; {counts}"]
        if self.findings:
            lines += [
                f"{len(self.findings)} findings:",
                *(f"  {it[:2000]}" for it in self.findings[:FINDINGS_SHOWN_MAX]),
            ]
            lines += ["the last faults:", *(f"  {it}" for it in self.happened[-LAST_FAULTS_SHOWN:])]
            lines += [f"again: make chaos SEED={self.seed} FAULTS={self.faults}"]
        return "\n".join(lines)


async def run(root: Path, *, seed: int, faults: int, tell: Callable[[str], None]) -> Report:
    """Breaks a new cluster below `root` that many times; stops at the first group with findings."""
    report, began = Report(seed), time.monotonic()
    cluster, model = Cluster(root), Model()
    try:
        await cluster.start()
        tell(f"{time.monotonic() - began:.0f} s: everything runs")
        async with working(cluster, model, seed) as (pace, evidence):
            await _break_in_groups(report, evidence, pace, faults=faults, tell=tell)
    finally:
        await cluster.stop()
        report.seconds = time.monotonic() - began
    report.counts = dict(model.counts)
    return report


async def _break_in_groups(
    report: Report, evidence: Evidence, pace: Pace, *, faults: int, tell: Callable[[str], None]
) -> None:
    chance = random.Random(report.seed)  # noqa: S311 - to be repeatable is the point
    breaking, began = Faults(evidence.cluster), time.monotonic()
    programs, links = targets(evidence.cluster)
    report.happened = breaking.happened
    for fault in plan(chance, faults, programs=programs, links=links):
        await breaking.inject(fault)
        report.faults = fault.number
        if fault.number % FAULTS_PER_GROUP and fault.number < faults:
            continue
        await breaking.heal()
        report.findings = await look(evidence, pace)
        report.checks += 1
        report.events = sum(len(history.events) for history in evidence.histories)
        seconds = time.monotonic() - began
        tell(f"{seconds:.0f} s: {fault.number} faults, {report.events} events, {len(report.findings)} findings")
        if report.findings:
            return


async def look(evidence: Evidence, pace: Pace) -> list[str]:
    """Lets the clients rest, checks everything, and lets them go on."""
    try:
        await pace.rest()
    except TimeoutError:
        return [*evidence.model.findings, "a client waits for its answer although everything works again"]
    evidence.histories = await read_histories(evidence.cluster, evidence.model)
    found = await check(evidence)
    pace.go_on()
    return found


async def read_histories(cluster: Cluster, model: Model) -> list[History]:
    workspaces = {"control": CONTROL_WORKSPACE, **workspace_ids(model)}
    return [await read_history(cluster.dsn, name, id_) for name, id_ in workspaces.items()]


def workspace_ids(model: Model) -> dict[str, UUID]:
    """The workspaces by name, as their makers were told."""
    made = [told for told in model.told.values() if told.asked.name == "create-workspace"]
    return {told.asked.body["name"]: UUID(told.receipts[0]["id"]) for told in made}


@asynccontextmanager
async def working(cluster: Cluster, model: Model, seed: int) -> AsyncIterator[tuple[Pace, Evidence]]:
    """Clients and followers at work, until the block ends; a defect of their own ends the block."""
    asking, pace = Asking(model, cluster.gateway_urls), Pace()
    await furnish(asking, WORKSPACES)
    shelves = {name: Shelf() for name in WORKSPACES}
    await cluster.link_to_postgres(FOLLOWER)
    subscription = SubscriptionFollower(cluster.dsn_of(FOLLOWER), await cluster.link_to_nats(FOLLOWER), model)
    streams = [
        (workspace, StreamFollower(f"{gateway} {workspace}", f"{url}/v1/workspaces/{workspace}/stream", model))
        for gateway, url in cluster.gateway_urls.items()
        for workspace in WORKSPACES
    ]
    clients = [Client(f"{seed}/{number}", asking, shelves, pace) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(client.work()) for client in clients]
    tasks += [asyncio.create_task(subscription.follow())]
    tasks += [asyncio.create_task(stream.follow()) for _, stream in streams]
    body = asyncio.current_task()
    assert body is not None
    for task in tasks:
        task.add_done_callback(lambda done: None if done.cancelled() else body.cancel())
    try:
        yield pace, Evidence(cluster, model, streams, subscription, [])
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(asking.close(), timeout=5)
        model.findings += [f"the harness broke: {it!r}" for it in ended if isinstance(it, Exception)]
        for error in ended:
            if isinstance(error, Exception):
                raise error
