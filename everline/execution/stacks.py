"""The stack that a run executes on: asked from the server, and remembered for when the server is away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from everline import calls
from everline.calls import Place
from everline.config import DEFAULT_STACK, Target, data_directory, spool_directory, state_directory
from everline.errors import InvalidConfiguration, StackNotUsable, Unavailable
from everline.ids import derived_id
from everline.wire import Wire

LOOKUP_SECONDS_MAX = 5.0
PARALLELISM = 4
LOCAL = "local"
DATA_DIRECTORY_MARK = "everline.json"


@dataclass(frozen=True)
class LocalStack:
    """What the engine needs of a stack. References are ids once a server told them, else names."""

    name: str
    ref: str
    artifact_store_ref: str
    store: Mapping[str, Any]
    parallelism_max: int = PARALLELISM
    online: bool = field(default=False, compare=False)
    """The server answered a moment ago: worth asking for cached steps."""


def resolve_stack(target: Target, name: str | None) -> LocalStack:
    """The stack by that name, or the active one. Raises StackNotUsable, and NotFound when the server knows none."""
    name = name or target.stack or DEFAULT_STACK
    try:
        asked = _ask(target, name)
    except Unavailable:
        return _remembered(target, name) or _offline(name)
    _remember(target, asked)
    return asked


def _ask(target: Target, name: str) -> LocalStack:
    wire = Wire(target.url, attempts_max=1, answer_seconds_max=LOOKUP_SECONDS_MAX)
    try:
        stack = wire.send(calls.get(Place(target.workspace, "stacks"), name))
        components = {
            kind: wire.send(calls.get(Place(target.workspace, "components"), str(ref)))
            for kind, ref in component_ids(stack).items()
            if kind in {"orchestrator", "artifact_store"}
        }
    finally:
        wire.close()
    orchestrator, store = components["orchestrator"], components["artifact_store"]
    if orchestrator["flavor"] != LOCAL:
        raise StackNotUsable(
            f"stack {name!r} runs on {orchestrator['flavor']!r}, which is not this process",
            hint="choose a stack with a local orchestrator",
        )
    parallelism_max = int(orchestrator["configuration"].get("parallelism_max", PARALLELISM))
    return LocalStack(
        str(stack["name"]),
        str(stack["id"]),
        str(store["id"]),
        dict(store["configuration"]),
        parallelism_max,
        online=True,
    )


def component_ids(stack: Mapping[str, Any]) -> dict[str, str]:
    """Component type -> id, whether the table shows bare ids or ids with names."""
    return {kind: value["id"] if isinstance(value, dict) else value for kind, value in stack["components"].items()}


def _memory(target: Target, name: str) -> Path:
    return spool_directory() / "stacks" / f"{derived_id(target.url, target.workspace, name)}.json"


def _remember(target: Target, stack: LocalStack) -> None:
    path = _memory(target, stack.name)
    text = json.dumps({**asdict(stack), "online": False})
    try:
        if path.exists() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        raise InvalidConfiguration(
            f"{path} cannot be written: {error}", hint="set EVERLINE_SPOOL_DIR to a folder that can"
        ) from error


def _remembered(target: Target, name: str) -> LocalStack | None:
    try:
        return LocalStack(**json.loads(_memory(target, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _offline(name: str) -> LocalStack:
    """No server ever answered here. The default stack's parts are known by name, and its store is a folder; a data
    directory that `everline up` has not made yet is left alone."""
    if name != DEFAULT_STACK:
        raise StackNotUsable(
            f"stack {name!r} is not known here and no server answers", hint="start one with `everline up`"
        )
    has_server = (data_directory() / DATA_DIRECTORY_MARK).exists()
    root = data_directory() if has_server else state_directory()
    return LocalStack(name, name, "local-store", {"path": str(root / "artifacts")})
