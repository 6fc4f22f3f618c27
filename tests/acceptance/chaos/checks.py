"""What is compared once everything works again. To add a check, write it and name it in its list: what can be seen in
one recorded history alone is a rule of `rules.py`, everything else is here."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg

from ledger.checkpoint import Checkpoint, parse, parse_key
from ledger.proof_errors import ProofError
from tests.acceptance.chaos.cluster import SERVERS
from tests.acceptance.chaos.history import History
from tests.acceptance.chaos.rules import RULES, root_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.acceptance.chaos.cluster import Cluster
    from tests.acceptance.chaos.followers import StreamFollower, SubscriptionFollower
    from tests.acceptance.chaos.model import Model

SETTLE_SECONDS_MAX = 90.0
POLL_SECONDS = 0.1


@dataclass
class Evidence:
    """What the checks look at; one history per workspace."""

    cluster: Cluster
    model: Model
    streams: list[tuple[str, StreamFollower]]
    subscription: SubscriptionFollower
    histories: list[History]


async def followers_saw_everything(evidence: Evidence) -> AsyncIterator[str]:
    for history in evidence.histories:
        ids = [event.event_id for event in history.events]
        followed = {f.name: f.ids for workspace, f in evidence.streams if workspace == history.name}
        followed["subscription"] = evidence.subscription.ids.setdefault(history.workspace_id, [])  # type: ignore[assignment]
        for name, seen in followed.items():
            if not await _settles(lambda seen=seen, ids=ids: len(seen) >= len(ids)):  # type: ignore[misc]
                yield f"{name} stands at {len(seen)}, {history.name} at {len(ids)}"
            elif [str(id_) for id_ in seen[: len(ids)]] != [str(id_) for id_ in ids]:
                yield f"{name} saw other events than {history.name} has"


async def tables_equal_a_replay(evidence: Evidence) -> AsyncIterator[str]:
    url = next(iter(evidence.cluster.gateway_urls.values()))
    async with httpx2.AsyncClient(base_url=url, timeout=SETTLE_SECONDS_MAX) as client:
        for history in evidence.histories:
            answer = await _verified(client, history)
            if not answer.get("equal"):
                yield f"{history.name}: {answer}"


async def the_relay_reached_the_heads(evidence: Evidence) -> AsyncIterator[str]:
    for history in evidence.histories:
        query = "SELECT position FROM ledger.relays WHERE workspace_id = %s"
        if not await _settles_in(evidence.cluster.dsn, query, history, at_least=history.position):
            yield f"{history.name} is relayed behind {history.position}"


async def checkpoints_are_signed_and_true(evidence: Evidence) -> AsyncIterator[str]:
    """Each signed size has the root of the leaves as they are now, so each checkpoint extends the one before it."""
    url = next(iter(evidence.cluster.gateway_urls.values()))
    async with httpx2.AsyncClient(base_url=url, timeout=SETTLE_SECONDS_MAX) as client:
        for history in evidence.histories:
            if not (signed := await _signed(client, history)):
                yield f"{history.name} is not sealed up to {history.position}"
            for checkpoint in signed:
                if checkpoint.root != root_of(history.leaves[: checkpoint.size]):
                    yield f"{history.name}: the root that was signed for size {checkpoint.size} is another"


async def programs_end_only_when_told(evidence: Evidence) -> AsyncIterator[str]:
    """Of the servers a start may fail after a kill: PostgreSQL refuses while a child of the dead one still ends."""
    for process in evidence.cluster.processes.values():
        for end in process.ends if process.name not in SERVERS else ():
            yield f"{end}, see {process.program.log_path}"


OF_CLUSTER: tuple[Callable[[Evidence], AsyncIterator[str]], ...] = (
    followers_saw_everything,
    tables_equal_a_replay,
    the_relay_reached_the_heads,
    checkpoints_are_signed_and_true,
    programs_end_only_when_told,
)
"""Each looks at what runs, and may wait until it has settled."""


async def check(evidence: Evidence) -> list[str]:
    """Everything that is wrong, each with the name of its check."""
    found = [f"answers: {finding}" for finding in evidence.model.findings]
    for history in evidence.histories:
        for rule in RULES:
            found += [f"{rule.__name__}: {history.name}: {what}" for what in rule(evidence.model, history)]
            await asyncio.sleep(0)
    for look in OF_CLUSTER:
        found += [f"{look.__name__}: {what}" async for what in look(evidence)]
    return found


async def _verified(client: httpx2.AsyncClient, history: History) -> dict[str, Any]:
    """The answer of a replay check up to the head, as soon as the tables are there."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        try:
            path = f"/v1/workspaces/{history.name}/replay-checks"
            answer: dict[str, Any] = (await client.post(path, json={"until": history.position})).json()
        except httpx2.TransportError as error:
            answer = {"retryable": True, "detail": repr(error)}
        if not answer.get("retryable") or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(POLL_SECONDS)


async def _settles(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


async def _settles_in(dsn: str, query: str, history: History, *, at_least: int) -> bool:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = await (await connection.execute(query.encode(), (history.workspace_id,))).fetchone()
            if row is not None and row[0] >= at_least:
                return True
            await asyncio.sleep(POLL_SECONDS)
    return False


async def _signed(client: httpx2.AsyncClient, history: History) -> list[Checkpoint]:
    """Every checkpoint with a good signature, once one covers the head; none when that takes too long."""
    log, deadline = f"/v1/workspaces/{history.name}/log", time.monotonic() + SETTLE_SECONDS_MAX
    checkpoints: list[Checkpoint] = []
    while time.monotonic() < deadline:
        after = checkpoints[-1].size if checkpoints else 0
        try:
            key = parse_key((await client.get(f"{log}/key")).text.strip())
            page = (await client.get(f"{log}/checkpoints", params={"after": after})).json()
        except (httpx2.TransportError, ProofError):
            page = {}
        for item in page.get("items", ()):
            signed = parse(item["note"])
            signed.verify(key)
            checkpoints.append(signed.checkpoint)
        if checkpoints and checkpoints[-1].size >= history.position:
            return [checkpoint for checkpoint in checkpoints if checkpoint.size <= history.position]
        await asyncio.sleep(POLL_SECONDS)
    return []
