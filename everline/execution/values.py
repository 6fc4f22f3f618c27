"""The values that flow between the steps of a run: stored for ever, and in memory until the last step has them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from everline.execution.results import StoredOutput

if TYPE_CHECKING:
    from everline.graph import Graph, Output

Place = tuple[str, str]
"""A step's name and the name of its output."""


class Values:
    """Safe to use from the threads of several steps."""

    def __init__(self, graph: Graph) -> None:
        sources = [_place(output) for node in graph.nodes.values() for output in node.inputs.values()]
        self._consumers = Counter(sources)
        self._held: dict[Place, Any] = {}
        self._stored: dict[Place, StoredOutput] = {}
        self._lock = threading.Lock()

    def produced(self, step: str, output: StoredOutput, value: Any) -> None:
        """A step made this value. It is held if a step of this run still wants it."""
        with self._lock:
            self._stored[step, output.name] = output
            if self._consumers[step, output.name]:
                self._held[step, output.name] = value

    def cached(self, step: str, output: StoredOutput) -> None:
        """An earlier run made this value."""
        with self._lock:
            self._stored[step, output.name] = output

    def stored(self, output: Output) -> StoredOutput:
        """Where the value of an output lies."""
        return self._stored[_place(output)]

    def value(self, output: Output) -> Any:
        """The value, from memory or from the store. Raises ArtifactNotLoadable and IntegrityError."""
        place = _place(output)
        with self._lock:
            if place in self._held:
                return self._held[place]
        return self._stored[place].load()

    def consumed(self, output: Output) -> None:
        """A step that wanted the value has ended."""
        place = _place(output)
        with self._lock:
            self._consumers[place] -= 1
            if not self._consumers[place]:
                self._held.pop(place, None)


def _place(output: Output) -> Place:
    return output.node.name, output.name
