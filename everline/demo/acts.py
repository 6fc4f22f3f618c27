"""What is done in the demo, through the SDK like any user: stacks, runs, promotions, an edit, a mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everline.demo.narrator import Narrator

if TYPE_CHECKING:
    from everline.client import Client

MODEL = "digits-classifier"
LAPTOP, SHARED = "laptop", "shared"
FIRST, BETTER = f"{MODEL}@1", f"{MODEL}@2"
IMPOSSIBLE_C = -1.0
FAILING_STEP = "train_linear"
ATTEMPTS = (
    {"C": 0.0001, "trees": 3, "depth": 4},
    {"C": IMPOSSIBLE_C, "trees": 60, "depth": 12},
    {"C": 0.01, "trees": 60, "depth": 12},
)
FIRST_REASON = "the first one that works"
BETTER_REASON = "more accurate than the first"
MISTAKE_REASON = "tidying up"


@dataclass
class Journal:
    """Positions and names to come back to: what the story later asks the ledger about."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    promoted_first: int = 0
    promoted_better: int = 0
    edited: int = 0
    mistaken: int = 0


def register_stacks(client: Client, narrator: Narrator, directory: Path) -> None:
    """Two stacks, each with an orchestrator and an artifact store of its own."""
    narrator.section(
        "Two stacks", "A stack says where runs execute and where they store. One to try things, one for the team."
    )
    for stack in (LAPTOP, SHARED):
        runner, disk = f"{stack}-runner", f"{stack}-disk"
        client.register_component(runner, component_type="orchestrator", flavor="local")
        place = {"path": str(directory / "artifacts" / stack)}
        client.register_component(disk, component_type="artifact_store", flavor="local", configuration=place)
        client.register_stack(stack, {"orchestrator": runner, "artifact_store": disk})
    narrator.answer("everline stack list", stacks(client), ("name", "components"))
    listed = {row["name"] for row in stacks(client)}
    narrator.check("both stacks are registered", {LAPTOP, SHARED} <= listed)


def decide(client: Client, narrator: Narrator, journal: Journal) -> None:
    """A promotion that is right, an edit of a stack, and a promotion that is wrong."""
    narrator.section("Three changes", "Each is one command, each is one line of history. The last two are mistakes.")
    journal.promoted_better = client.promote(BETTER, to="production", force=True, reason=BETTER_REASON).position
    narrator.command(f'everline model promote {BETTER} --to production --force --reason "{BETTER_REASON}"')
    current = client.stacks.get(SHARED)
    components = {**current["components"], "artifact_store": f"{LAPTOP}-disk"}
    edit = client.command(
        "update-stack", {"stack": SHARED, "components": components}, expected_version=current["version"]
    )
    journal.edited = edit.position
    narrator.command(f"everline stack update {SHARED} --component artifact_store={LAPTOP}-disk")
    journal.mistaken = client.promote(FIRST, to="production", force=True, reason=MISTAKE_REASON).position
    narrator.command(f'everline model promote {FIRST} --to production --force --reason "{MISTAKE_REASON}"')
    narrator.say("Now the worse model serves, and the team's artifacts land on a laptop.", "yellow")


def stacks(client: Client) -> list[dict[str, Any]]:
    """The stacks with the names of their components."""
    names = component_names(client)
    return [
        {"name": stack["name"], "components": {kind: names[id_] for kind, id_ in stack["components"].items()}}
        for stack in client.stacks.list(sort="name")
    ]


def component_names(client: Client) -> dict[str, str]:
    """Names by id."""
    return {str(component["id"]): str(component["name"]) for component in client.components.list()}
