"""Whether a step was executed before with the same code, parameters and inputs, and what it produced then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from everline import calls
from everline.artifacts.materializer import key, materializers
from everline.artifacts.store import exists
from everline.artifacts.storing import Stored
from everline.calls import Place
from everline.execution.compiling import canonical
from everline.execution.results import StoredOutput
from everline.wire import Wire

if TYPE_CHECKING:
    from everline.config import Target
    from everline.execution.stacks import LocalStack
    from everline.graph import Node

LOOKUP_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Hit:
    """An earlier execution: its run and its outputs, which still exist."""

    original_run: str
    outputs: Mapping[str, StoredOutput]


def cache_key(node: Node, parameters: Mapping[str, Any], input_hashes: Mapping[str, str]) -> str:
    """SHA-256 over everything that decides what a step produces: its source text, parameters and the content of its
    inputs, the names of its outputs, and the materializers that would store them."""
    content = {
        "code": node.step.code_digest,
        "parameters": parameters,
        "inputs": input_hashes,
        "outputs": node.step.outputs.names,
        "materializers": [key(materializer) for materializer in materializers()],
    }
    return hashlib.sha256(canonical(content)).hexdigest()


class CachedSteps:
    """Earlier executions in one workspace. A server that does not answer has no earlier executions."""

    def __init__(self, target: Target, stack: LocalStack) -> None:
        self._workspace = target.workspace
        self._wire = Wire(target.url, attempts_max=1, answer_seconds_max=LOOKUP_SECONDS_MAX)
        self._stack = stack

    def find(self, node: Node, cache_key: str) -> Hit | None:
        """The newest earlier execution whose outputs can still be loaded."""
        if not self._stack.online:
            return None
        try:
            return self._find(node, cache_key)
        except Exception:  # a server or a store that is away: executing again is always right
            return None

    def _find(self, node: Node, cache_key: str) -> Hit | None:
        steps = Place(self._workspace, "steps")
        wanted = {"cache_key": f"equals:{cache_key}", "status": "oneof:completed,cached"}
        found = self._wire.send(calls.page(steps, wanted, None, 1)).items
        if not found or set(found[0]["outputs"]) != set(node.step.outputs.names):
            return None
        outputs = {name: self._output(name, str(id_)) for name, id_ in found[0]["outputs"].items()}
        if any(output is None for output in outputs.values()):
            return None
        original = found[0].get("original_run_id") or found[0]["run_id"]
        return Hit(str(original), {name: output for name, output in outputs.items() if output is not None})

    def _output(self, name: str, version_id: str) -> StoredOutput | None:
        """An artifact version whose files are still there."""
        versions = Place(self._workspace, "artifact-versions")
        row = self._wire.send(calls.get(versions, version_id))
        stored = Stored(**{field: row[field] for field in Stored.__dataclass_fields__})
        configuration = self._stack.store
        if not exists(stored.uri, configuration):
            return None
        return StoredOutput(name, str(row.get("artifact") or name), version_id, stored, configuration)

    def close(self) -> None:
        """Closes the connection."""
        self._wire.close()
