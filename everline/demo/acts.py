"""What is done in the demo, through the SDK like any user: stacks, runs, promotions, an edit, a mistake."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everline.cli.cells import duration
from everline.demo.narrator import Narrator
from everline.errors import RunFailed

if TYPE_CHECKING:
    from everline.client import Client
    from everline.pipeline import Pipeline

MODEL = "digits-classifier"
LAPTOP, SHARED = "laptop", "shared"
FIRST, BETTER = f"{MODEL}@1", f"{MODEL}@2"
IMPOSSIBLE_C = -1.0
FAILING_STEP = "train_linear"
ATTEMPTS: tuple[dict[str, float], ...] = (
    {"C": 0.0001, "trees": 3, "depth": 4},
    {"C": IMPOSSIBLE_C, "trees": 120, "depth": 16},
    {"C": 0.001, "trees": 120, "depth": 16},
)
STACKS = (LAPTOP, LAPTOP, SHARED)
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
    listed = stacks(client)
    narrator.answer("everline stack list", listed, ("name", "components"))
    narrator.check("both stacks are registered", {LAPTOP, SHARED} <= {row["name"] for row in listed})


def run_three_times(client: Client, narrator: Narrator, journal: Journal) -> None:
    """The same pipeline with three sets of parameters; the second set is impossible, and its run must say so."""
    narrator.section(
        "One pipeline, three runs",
        "Load, split, train two candidates side by side, evaluate, register the better one. The second must fail.",
    )
    with narrator.working("loading scikit-learn"):
        digits = load_pipeline()
    for parameters, stack in zip(ATTEMPTS, STACKS, strict=True):
        words = " ".join(f"--param {name}={value:g}" for name, value in parameters.items())
        narrator.command(f"everline pipeline run digits.py {words} --stack {stack}")
        with narrator.working("running"):
            run_id = attempt(digits.with_options(stack=stack), parameters)
        journal.runs.append(dict(client.runs.get(run_id)))
        narrator.say(*summary(client, journal.runs[-1]))
        if len(journal.runs) == 1:
            journal.promoted_first = client.promote(FIRST, to="production", reason=FIRST_REASON).position
            narrator.command(f'everline model promote {FIRST} --to production --reason "{FIRST_REASON}"')
    check_runs(client, narrator, journal)


def load_pipeline() -> Pipeline[Any]:
    """The demo's pipeline; importing it takes a few seconds the first time, so that is also done ahead, in a thread."""
    from everline.demo.digits import digits

    return digits


def attempt(pipeline: Pipeline[Any], parameters: Mapping[str, float]) -> str:
    """One run; answers its id. What its steps print is kept in their logs and not shown here."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            return pipeline.run(**parameters).id
        except RunFailed as failed:
            return failed.run.id


def summary(client: Client, run: dict[str, Any]) -> tuple[str, str]:
    """A line about a run, and its style."""
    name, spent = run["name"], duration(run["duration_seconds"])
    if run["status"] == "failed":
        return f"{name} failed after {spent}: {run['failure']['message']}", "red"
    facts = facts_of(client, run)
    return f"{name} completed in {spent}: {facts['winner']} wins with accuracy {facts['accuracy']:.3f}", "green"


def facts_of(client: Client, run: dict[str, Any]) -> dict[str, Any]:
    """What the steps of a run logged."""
    return {str(entry["key"]): entry["value"] for entry in client.metadata.list(resource_id=run["id"])}


def check_runs(client: Client, narrator: Narrator, journal: Journal) -> None:
    """What must be so after the three runs."""
    first, failed, better = journal.runs
    statuses = [run["status"] for run in journal.runs]
    narrator.check("two completed, one failed", statuses == ["completed", "failed", "completed"], ", ".join(statuses))
    broken = [step["name"] for step in failed["steps"]["items"] if step["status"] == "failed"]
    narrator.check(
        "the failure names its step and its cause",
        broken == [FAILING_STEP],
        f"{', '.join(broken)}: {failed['failure']['type']}",
    )
    narrator.check("the two candidates were trained at the same time", trained_together(better))
    accuracy = [facts_of(client, run)["accuracy"] for run in (first, better)]
    narrator.check(
        "the third is better than the first", accuracy[1] > accuracy[0], f"{accuracy[0]:.3f} -> {accuracy[1]:.3f}"
    )
    narrator.check("the stored model, loaded again, scores the same", score_again(client, BETTER) == accuracy[1])


def trained_together(run: dict[str, Any]) -> bool:
    """Whether the training steps overlapped."""
    steps = {step["name"]: step for step in run["steps"]["items"]}
    first, second = (steps[name] for name in ("train_linear", "train_forest"))
    return bool(first["started_at"] < second["ended_at"] and second["started_at"] < first["ended_at"])


def score_again(client: Client, version: str) -> float:
    """The accuracy of a model version, from what is stored: the model and the images that its run kept back."""
    from everline.demo.digits import features_and_labels

    found = client.model_versions.get(version)
    classifier = client.artifact_versions.get(found["artifacts"]["classifier"]).load()
    split = client.runs.get(found["run_id"]).steps["split"]
    return float(classifier.score(*features_and_labels(split.output("test").load())))


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
