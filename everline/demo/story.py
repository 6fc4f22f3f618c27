"""What the ledger says about the demo's own deeds, and how it undoes two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from everline.cli import tables
from everline.demo.acts import (
    BETTER,
    BETTER_REASON,
    FIRST,
    MISTAKE_REASON,
    MODEL,
    SHARED,
    Journal,
    component_names,
)
from everline.demo.narrator import Narrator

if TYPE_CHECKING:
    from everline.client import Client

ROLLBACK_REASON = "promoted and edited by mistake"
RUNNING = "running"


def tell_audit(client: Client, narrator: Narrator, journal: Journal) -> None:
    """Who changed what, and why."""
    narrator.section(
        "Who changed what", "Every change is an event: who, when, what, why. None can be edited afterwards."
    )
    promotions = [dict(event) for event in client.events(kind="model_version")]
    columns = ("position", "recorded_at", "actor", "type", "entity_name", "data.reason")
    narrator.answer("everline events list --kind model-version", promotions, columns)
    history = [dict(change) for change in client.stacks.history(SHARED)]
    names = component_names(client)
    rows = change_rows(
        [({key: item[key] for key in ("position", "actor", "types")}, item["changes"]) for item in history], names
    )
    narrator.answer(f"everline history stack/{SHARED}", rows, ("position", "actor", "types", "field", "from", "to"))
    actors = {change["actor"] for change in (*promotions, *history)}
    narrator.check("every change names its actor", actors == {client.info()["actor"]}, ", ".join(sorted(actors)))
    found = {event["position"]: (event["type"], event["data"].get("reason")) for event in promotions}
    promoted = {journal.promoted_better: BETTER_REASON, journal.mistaken: MISTAKE_REASON}
    expected = {position: ("model_version.promoted", reason) for position, reason in promoted.items()}
    narrator.check("the promotions are there with their reasons", expected.items() <= found.items())
    narrator.check(
        "so is the edit of the stack", history[0]["position"] == journal.edited, f"position {journal.edited}"
    )


def tell_production(client: Client, narrator: Narrator, journal: Journal) -> None:
    """Which version was in production at each moment."""
    narrator.section(
        "Who was in production, when",
        "Any read can be asked as of any moment, not only those that somebody prepared for.",
    )
    moments = {
        "before any promotion": (journal.promoted_first - 1, None),
        "after the first": (journal.promoted_first, 1),
        "after the better one": (journal.promoted_better, 2),
        "after the mistake": (journal.mistaken, 1),
    }
    rows = [
        {"moment": moment, "as_of": position, "production": production(client, position), "expected": number}
        for moment, (position, number) in moments.items()
    ]
    narrator.answer(
        f"everline model show {MODEL} --as-of {journal.promoted_better}", rows, ("moment", "as_of", "production")
    )
    held = all(row["production"] == (f"{MODEL}@{row['expected']}" if row["expected"] else None) for row in rows)
    narrator.check("each moment has the holder that it had", held)


def production(client: Client, position: int | None = None) -> str | None:
    """The version that held production as of a position, or now."""
    seen = client if position is None else client.as_of(position)
    number = seen.models.get(MODEL)["production_version_number"]
    return f"{MODEL}@{number}" if number else None


def tell_past_runs(client: Client, narrator: Narrator, journal: Journal) -> None:
    """The list of runs as of a moment at which one of them was still running."""
    narrator.section("The past, as it was", "This is the list of runs at the moment when the last one was half done.")
    last = journal.runs[-1]
    middle = middle_of(client, last["id"])
    then = [dict(run) for run in client.as_of(middle).runs.list()]
    narrator.answer(
        f"everline run list --as-of {middle}", then, ("name", "status", "stack", "parameters", "steps_completed")
    )
    status = {run["id"]: run["status"] for run in then}
    narrator.check(
        "it was running then, and is completed now", (status[last["id"]], last["status"]) == (RUNNING, "completed")
    )


def middle_of(client: Client, run_id: str) -> int:
    """A position at which some of a run's steps had ended and others had not."""
    ended = [event["position"] for event in client.events(entity=f"run/{run_id}", type="step.completed")]
    return int(sorted(ended)[len(ended) // 2])


def tell_differences(client: Client, narrator: Narrator, journal: Journal) -> None:
    """What changed between the good state and the bad one."""
    narrator.section("What changed since", "Two moments, field by field.")
    items = [dict(item) for item in client.diff(journal.promoted_better, journal.mistaken)]
    names = component_names(client) | version_names(client)
    rows = change_rows([({"entity": f"{item['kind']}/{item['name']}"}, item["changes"]) for item in items], names)
    narrator.answer(
        f"everline diff {journal.promoted_better} {journal.mistaken}", rows, ("entity", "field", "from", "to")
    )
    entities = {f"{item['kind']}/{item['name']}" for item in items}
    expected = {f"stack/{SHARED}", f"model_version/{FIRST}", f"model_version/{BETTER}", f"model/{MODEL}"}
    narrator.check("exactly what we touched, and nothing else", entities == expected)


def undo(client: Client, narrator: Narrator, journal: Journal) -> None:
    """Plan the way back, look at it, go it."""
    narrator.section(
        "The way back", "A rollback is planned before it is done, and is itself new history: nothing is erased."
    )
    head = newest_position(client)
    rollback = client.rollback(to=journal.promoted_better)
    plan = rollback.plan()
    names = component_names(client) | version_names(client) | {client.stacks.get(SHARED)["id"]: SHARED}
    planned = [(readable(item["entity"], names), item["changes"]) for item in plan["entities"]]
    narrator.answer(
        f"everline rollback plan --to {journal.promoted_better}",
        change_rows([({"entity": entity}, changes) for entity, changes in planned], names),
        ("entity", "field", "from", "to"),
    )
    entities = {entity for entity, _ in planned}
    narrator.check(
        "the plan undoes the edit and the promotion",
        entities == {f"stack/{SHARED}", f"model_version/{FIRST}", f"model_version/{BETTER}"},
    )
    narrator.check("planning changed nothing", newest_position(client) == head, f"position {head}")
    applied = rollback.apply(reason=ROLLBACK_REASON)
    narrator.command(f'everline rollback apply --to {journal.promoted_better} --reason "{ROLLBACK_REASON}"')
    store = client.stacks.get(SHARED)["components"]["artifact_store"]
    narrator.check("the better model is in production again", production(client) == BETTER, str(production(client)))
    narrator.check("the stack stores where it did", names[store] == f"{SHARED}-disk", names[store])
    recorded = client.rollbacks.get(applied["id"])
    narrator.check(
        "the rollback and its reason are on record",
        recorded["reason"] == ROLLBACK_REASON,
        f"position {applied['position']}",
    )


def prove(client: Client, narrator: Narrator) -> None:
    """The query tables follow from the ledger, and the ledger has no gap."""
    narrator.section("The proof", "Every table is rebuilt from history beside the live one, and compared row by row.")
    narrator.command("everline replay --verify")
    with narrator.working("replaying"):
        result = client.replay_check()
    filled = [table for table in result["tables"] if table["rows"]]
    rows = sum(table["rows"] for table in filled)
    detail = f"{rows} rows in {len(filled)} tables, from {result['events']} events"
    narrator.check(
        "the tables equal a replay", result["equal"], detail if result["equal"] else str(result["first_difference"])
    )
    positions = [event["position"] for event in client.events()]
    narrator.check("no position is missing", positions == list(range(positions[0], 0, -1)), f"1 to {positions[0]}")


def newest_position(client: Client) -> int:
    """The position of the last event."""
    return int(next(iter(client.events(limit=1)))["position"])


def version_names(client: Client) -> dict[str, str]:
    """Names of model versions by id."""
    return {str(version["id"]): str(version["name"]) for version in client.model_versions.list()}


def readable(entity: str, names: dict[str, str]) -> str:
    """`stack/shared` for `stack/<id>`."""
    kind, _, entity_id = entity.partition("/")
    return f"{kind}/{names.get(entity_id, entity_id)}"


def change_rows(
    changed: list[tuple[dict[str, Any], list[dict[str, Any]]]], names: dict[str, str]
) -> list[dict[str, Any]]:
    """A row per changed field, ids as names."""
    rows = tables.by_change(changed, whole=False)
    return [{key: named(value, names) for key, value in row.items()} for row in rows]


def named(value: Any, names: dict[str, str]) -> Any:
    """A value with the ids in it replaced by names."""
    if isinstance(value, dict):
        return {key: named(inner, names) for key, inner in value.items()}
    return names.get(value, value) if isinstance(value, str) else value
