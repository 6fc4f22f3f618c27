"""What is compared once everything works again. To add a check, write it and name it in one of the two lists."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg

from ledger.codec import canonical
from ledger.values import derived_id
from tests.acceptance.chaos.history import History, World, world_of
from tests.acceptance.chaos.model import Asked, Refusal, Told, describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.acceptance.chaos.cluster import Cluster
    from tests.acceptance.chaos.followers import StreamFollower, SubscriptionFollower
    from tests.acceptance.chaos.model import Model

SETTLE_SECONDS_MAX = 45.0
POLL_SECONDS = 0.1
ROLLED_BACK_COMMANDS_MAX = 10
"""More than one pipeline's way back ever needs."""


@dataclass
class Evidence:
    """What the checks look at; one history per workspace."""

    cluster: Cluster
    model: Model
    streams: list[tuple[str, StreamFollower]]
    subscription: SubscriptionFollower
    histories: list[History]


def positions_have_no_gap(_model: Model, history: History) -> Iterator[str]:
    positions = [event.position for event in history.events]
    if positions != list(range(1, len(positions) + 1)) or history.position != len(positions):
        yield f"the head is {history.position}, the positions are {positions}"


def versions_are_contiguous(_model: Model, history: History) -> Iterator[str]:
    versions: Counter[str] = Counter()
    for event in history.events:
        versions[event.stream] += 1
        if event.version != versions[event.stream]:
            yield f"position {event.position}: version {event.version} follows {versions[event.stream] - 1}"
    if dict(versions) != history.versions:
        yield "the streams' versions are not those of their events"


def time_runs_forward(_model: Model, history: History) -> Iterator[str]:
    for before, after in zip(history.events, history.events[1:], strict=False):
        if after.recorded_at < before.recorded_at:
            yield f"position {after.position} was recorded before position {before.position}"


def the_tree_is_that_of_the_events(_model: Model, history: History) -> Iterator[str]:
    """RFC 6962, computed anew: each leaf from its event, the frontier from the leaves."""
    for event, leaf in zip(history.events, history.leaves, strict=True):
        if sha256(b"\x00" + canonical(event)).digest() != leaf:
            yield f"position {event.position}: the leaf is not that of the event"
    frontier, first = b"", 0
    for bit in reversed(range(len(history.leaves).bit_length())):
        if len(history.leaves) & 1 << bit:
            frontier += _root(history.leaves[first : first + (1 << bit)])
            first += 1 << bit
    if frontier != history.frontier:
        yield "the head's frontier is not that of the leaves"


def what_was_acknowledged_is_recorded(model: Model, history: History) -> Iterator[str]:
    for told in _told_of(model, history):
        recorded = history.commands.get(told.asked.id)
        for receipt in told.receipts[:1]:
            if recorded is None:
                yield f"acknowledged and not recorded: {describe(told.asked)}"
            elif receipt["kind"] != "rollback":
                yield from _compared(told.asked, receipt, history)


def what_was_refused_left_nothing(model: Model, history: History) -> Iterator[str]:
    for told in _told_of(model, history):
        if told.refusals and not told.receipts and not told.is_open and told.asked.id in history.commands:
            yield f"refused and recorded: {describe(told.asked)}"


def what_was_not_asked_is_not_there(model: Model, history: History) -> Iterator[str]:
    asked = {told.asked.id for told in _told_of(model, history)}
    rollbacks = [told.asked.id for told in _told_of(model, history) if told.asked.name == "record-rollback"]
    asked |= {derived_id("rollback", id_, number) for id_ in rollbacks for number in range(ROLLED_BACK_COMMANDS_MAX)}
    for command in history.commands.keys() - asked:
        yield f"nobody asked for the recorded command {command}"
    for event in history.events:
        recorded = history.commands.get(event.command_id)
        if recorded is None or not recorded.first <= event.position <= recorded.last:
            yield f"position {event.position} belongs to no command that says so"


def events_follow_from_what_was(_model: Model, history: History) -> Iterator[str]:
    """One holder of each name, stage and number; each step of a run once and in order."""
    world = world_of(history)
    yield from world.broken
    for key, stream in history.claims.items():
        if key.startswith("pipeline:") and world.holder(key) != stream:
            yield f"the claim {key} is {stream}'s, by the events it is {world.holder(key)}'s"


def expected_versions_were_respected(model: Model, history: History) -> Iterator[str]:
    for told in _told_of(model, history):
        recorded = history.commands.get(told.asked.id)
        if recorded is not None and told.asked.expected_version is not None:
            before = _version_before(history, recorded.stream, recorded.first)
            if recorded.last >= recorded.first and before != told.asked.expected_version:
                yield f"{describe(told.asked)} was recorded on version {before}"


def refusals_had_a_cause(model: Model, history: History) -> Iterator[str]:
    """Nothing is refused because of itself, and what is said to be in the way was there at that time."""
    world = world_of(history)
    for told in _told_of(model, history):
        for refusal in told.refusals:
            recorded = history.commands.get(told.asked.id)
            if recorded is not None and recorded.first <= refusal.known_before:
                yield f"recorded at {recorded.first} and refused later: {describe(told.asked)}: {refusal.problem}"
            elif not _had_a_cause(world, history, told, refusal):
                yield f"refused without a cause: {describe(told.asked)}: {refusal.problem}, recorded: {recorded}"


def lists_as_of_show_what_was(model: Model, history: History) -> Iterator[str]:
    world = world_of(history)
    for (workspace, moment), seen in model.seen.items():
        if workspace != history.name:
            continue
        if (expected := world.pipelines_at(seen.position)) != seen.items:
            yield f"as of {moment} (position {seen.position}) was {seen.items}, by the events {expected}"
        if (position := _position_of(history, moment)) != seen.position:
            yield f"{moment} is position {position}, the answer was position {seen.position}"


OF_HISTORY: tuple[Callable[[Model, History], Iterator[str]], ...] = (
    positions_have_no_gap,
    versions_are_contiguous,
    time_runs_forward,
    the_tree_is_that_of_the_events,
    what_was_acknowledged_is_recorded,
    what_was_refused_left_nothing,
    what_was_not_asked_is_not_there,
    events_follow_from_what_was,
    expected_versions_were_respected,
    refusals_had_a_cause,
    lists_as_of_show_what_was,
)
"""Each looks at one workspace and says what is wrong."""


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


async def programs_end_only_when_told(evidence: Evidence) -> AsyncIterator[str]:
    for process in evidence.cluster.processes.values():
        for end in process.ends:
            yield f"{end}, see {process.program.log_path}"


OF_CLUSTER: tuple[Callable[[Evidence], AsyncIterator[str]], ...] = (
    followers_saw_everything,
    tables_equal_a_replay,
    the_relay_reached_the_heads,
    programs_end_only_when_told,
)
"""Each looks at what runs, and may wait until it has settled."""


async def check(evidence: Evidence) -> list[str]:
    """Everything that is wrong, each with the name of its check."""
    found = [f"answers: {finding}" for finding in evidence.model.findings]
    for history in evidence.histories:
        for rule in OF_HISTORY:
            found += [f"{rule.__name__}: {history.name}: {what}" for what in rule(evidence.model, history)]
            await asyncio.sleep(0)
    for look in OF_CLUSTER:
        found += [f"{look.__name__}: {what}" async for what in look(evidence)]
    return found


def _told_of(model: Model, history: History) -> list[Told]:
    return [told for (workspace, _), told in model.told.items() if workspace == history.name]


def _compared(asked: Asked, receipt: dict[str, Any], history: History) -> Iterator[str]:
    """The receipt against the events that it names."""
    recorded = history.commands[asked.id]
    said = (receipt["first_position"], receipt["last_position"], f"{receipt['kind']}/{receipt['id']}")
    if said != tuple(recorded):
        yield f"{describe(asked)} was answered {said}, recorded is {recorded}"
    events = history.events[recorded.first - 1 : recorded.last]
    kept = [(event.position, event.type, event.stream, event.version) for event in events]
    told = [(event["position"], event["type"], event["stream"], event["version"]) for event in receipt["events"]]
    if kept != told or any(event.command_id != asked.id for event in events):
        yield f"{describe(asked)} was answered {told}, recorded is {kept}"


def _had_a_cause(world: World, history: History, told: Told, refusal: Refusal) -> bool:
    problem = refusal.problem
    if any(refusal.names_a_companion(problem.get(name, "")) for name in ("holder", "stream")):
        return True
    match problem["code"]:
        case "name_taken":
            return _was_held(world, problem["key"], problem["holder"], told, history, since=refusal.known_before)
        case "stale_version":
            low = _version_before(history, problem["stream"], refusal.known_before + 1)
            own = history.commands.get(told.asked.id)
            high = _version_before(history, problem["stream"], own.first if own else history.position + 1)
            return problem["actual"] != told.asked.expected_version and low <= problem["actual"] <= max(low, high)
        case _:
            return True


def _was_held(world: World, key: str, holder: str, told: Told, history: History, *, since: int) -> bool:
    """Whether somebody else's stream held the key at some position after `since`."""
    own = history.commands.get(told.asked.id)
    if own is not None and own.stream == holder and told.asked.name == "register-pipeline":
        return False
    return any(held.stream == holder and (held.until is None or held.until > since) for held in world.holders[key])


def _version_before(history: History, stream: str, position: int) -> int:
    """The version of a stream just before a position."""
    events = history.events[: position - 1]
    return next((event.version for event in reversed(events) if event.stream == stream), 0)


def _position_of(history: History, moment: str) -> int:
    if moment.isdigit():
        return int(moment)
    at = datetime.fromisoformat(moment)
    return sum(1 for event in history.events if event.recorded_at <= at)


def _root(leaves: list[bytes]) -> bytes:
    """The root over a power of two of leaves."""
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=True)
        leaves = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return leaves[0]


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
