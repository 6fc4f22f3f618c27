"""Plays the demo from beginning to end; answers the process's exit code."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from everline.cli.exit_codes import ExitCode
from everline.client import CONTROL, Client
from everline.demo import sealed, story, system
from everline.demo.acts import SHARED, Journal, decide, load_pipeline, register_stacks, run_three_times
from everline.demo.narrator import Narrator
from everline.errors import NotFound


def perform(*, data_dir: Path | None, as_json: bool, keep: bool) -> int:
    """Start a system, act, tell, check, stop; the exit code is 0 only if every check held."""
    narrator = Narrator(None if as_json else Console(file=sys.stdout, highlight=False))
    narrator.section("A system of its own", "PostgreSQL, NATS, the gateway and the workers, started from nothing.")
    with ExitStack() as resources:
        threading.Thread(target=load_pipeline, daemon=True).start()
        with narrator.working("starting"):
            running = resources.enter_context(system.running(data_dir, keep=keep))
        narrator.command(f"everline up --detach --data-dir {running.data_dir}")
        workspace = fresh_workspace(running.url)
        resources.enter_context(only_here(running, workspace))
        client = resources.enter_context(Client(running.url, workspace))
        narrator.check(
            "it answers", client.info()["version"] == version("everline"), f"{running.url}, workspace {workspace}"
        )
        play(client, narrator, running.data_dir)
        narrator.end()
    if keep:
        narrator.say(f"It still runs. Look around:  export EVERLINE_URL={running.url} EVERLINE_WORKSPACE={workspace}")
        narrator.say(f"Stop it:  everline down --data-dir {running.data_dir}")
    if as_json:
        sys.stdout.write(json.dumps(narrator.document(), indent=2, ensure_ascii=False, default=str) + "\n")
    return ExitCode.OK if narrator.held else ExitCode.FAILED


def fresh_workspace(url: str) -> str:
    """The default workspace, or a new one when that holds the things of an earlier demo."""
    with Client(url) as client:
        taken = {str(workspace["name"]) for workspace in client.info()["workspaces"]}
        try:
            client.stacks.get(SHARED)
        except NotFound:
            return client.workspace
    name = next(name for number in itertools.count(2) if (name := f"demo-{number}") not in taken)
    with Client(url, CONTROL) as control:
        control.command("create-workspace", {"name": name, "description": "Another performance of the demo"})
    return name


@contextmanager
def only_here(running: system.System, workspace: str) -> Iterator[None]:
    """What the SDK reads from the environment points at the demo's system, and nothing of it at the user's own."""
    before = {name: value for name, value in os.environ.items() if name.startswith("EVERLINE_")}
    chosen = {
        "EVERLINE_URL": running.url,
        "EVERLINE_WORKSPACE": workspace,
        "EVERLINE_CONFIG": str(running.data_dir / "demo" / "config.toml"),
        "EVERLINE_SPOOL_DIR": str(running.data_dir / "demo" / "spool"),
    }
    try:
        replace_environment(chosen)
        yield
    finally:
        replace_environment(before)


def replace_environment(variables: Mapping[str, str]) -> None:
    """Exactly these EVERLINE_* variables, and no others."""
    for name in [name for name in os.environ if name.startswith("EVERLINE_")]:
        del os.environ[name]
    os.environ.update(variables)


def play(client: Client, narrator: Narrator, directory: Path) -> None:
    """The acts, then what the ledger says about them."""
    journal = Journal()
    register_stacks(client, narrator, directory)
    run_three_times(client, narrator, journal)
    decide(client, narrator, journal)
    story.tell_audit(client, narrator, journal)
    story.tell_production(client, narrator, journal)
    story.tell_past_runs(client, narrator, journal)
    story.tell_differences(client, narrator, journal)
    story.undo(client, narrator, journal)
    story.prove(client, narrator)
    sealed.prove_to_strangers(client, narrator, journal)
