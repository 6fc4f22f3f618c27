"""What one recorded history must be, given what the clients were told. Each rule yields what is wrong."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ledger.codec import canonical
from ledger.values import derived_id
from tests.acceptance.chaos.history import History, World, world_of
from tests.acceptance.chaos.model import Asked, Refusal, Told, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.chaos.model import Model

ROLLED_BACK_COMMANDS_MAX = 10
"""More than one pipeline's way back ever needs."""


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
    if b"".join(subtrees(history.leaves)) != history.frontier:
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


RULES: tuple[Callable[[Model, History], Iterator[str]], ...] = (
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
            actual: int = problem["actual"]
            return actual != told.asked.expected_version and low <= actual <= max(low, high)
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


def root_of(leaves: list[bytes]) -> bytes:
    """The root over any number of leaves but none."""
    *rest, root = subtrees(leaves)
    for left in reversed(rest):
        root = sha256(b"\x01" + left + root).digest()
    return root


def subtrees(leaves: list[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, the largest first."""
    roots, first = [], 0
    for bit in reversed(range(len(leaves).bit_length())):
        if len(leaves) & 1 << bit:
            roots.append(root_of_perfect(leaves[first : first + (1 << bit)]))
            first += 1 << bit
    return roots


def root_of_perfect(leaves: list[bytes]) -> bytes:
    """The root over a power of two of leaves."""
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=True)
        leaves = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return leaves[0]
