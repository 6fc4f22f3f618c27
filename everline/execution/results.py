"""What a run in this process came to: usable at once, with or without a server."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from everline.artifacts.storing import Stored, load_version

FAILURE_MESSAGE_LENGTH_MAX = 5_000
TRACEBACK_LENGTH_MAX = 20_000


@dataclass(frozen=True)
class Failure:
    """Why something failed: the exception's type, its message and the end of its traceback."""

    type: str
    message: str
    traceback: str = ""

    def as_json(self) -> dict[str, str]:
        """As the ledger keeps it; what is too long loses its beginning, the cause stands at the end."""
        return {
            "type": self.type,
            "message": _end(self.message, FAILURE_MESSAGE_LENGTH_MAX),
            "traceback": _end(self.traceback, TRACEBACK_LENGTH_MAX),
        }


@dataclass(frozen=True)
class StoredOutput:
    """An output of a step, stored as an artifact version."""

    name: str
    artifact: str
    id: str
    stored: Stored
    store_configuration: Mapping[str, Any] = field(repr=False)

    def load(self) -> Any:
        """The value, checked against its hash. Raises ArtifactNotLoadable and IntegrityError."""
        recorded = {
            "uri": self.stored.uri,
            "materializer": self.stored.materializer,
            "content_hash": self.stored.content_hash,
        }
        return load_version(recorded, store=self.store_configuration)


@dataclass
class StepRun:
    """A step of a run: its status is `completed`, `cached`, `failed`, `skipped`, or what it is doing."""

    name: str
    status: str = "initializing"
    attempt: int = 0
    outputs: dict[str, StoredOutput] = field(default_factory=dict)
    reason: str = ""
    failure: Failure | None = None
    exception: BaseException | None = field(default=None, repr=False)

    def output(self, name: str = "output") -> StoredOutput:
        """One of its outputs; the only one needs no name. Raises KeyError when there is none of that name."""
        if name == "output" and name not in self.outputs and len(self.outputs) == 1:
            return next(iter(self.outputs.values()))
        if name not in self.outputs:
            known = ", ".join(self.outputs) or "none"
            raise KeyError(f"step {self.name!r} ({self.status}) has no output {name!r}; it has {known}")
        return self.outputs[name]


@dataclass
class PipelineRun:
    """A run: `run.status`, `run.steps["train"].output("classifier").load()`."""

    id: str
    name: str
    pipeline: str
    steps: dict[str, StepRun]
    status: str = "running"
    failure: Failure | None = None

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(step.name)}</td><td>{step.status}</td><td>{', '.join(step.outputs)}</td></tr>"
            for step in self.steps.values()
        )
        title = f"{html.escape(self.name)}: <b>{self.status}</b>"
        return f"<div>{title}<table><tr><th>step</th><th>status</th><th>outputs</th></tr>{rows}</table></div>"


def _end(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else "…" + text[1 - length_max :]
