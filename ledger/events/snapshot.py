"""A snapshot: an immutable compiled pipeline. Its id is derived from its content, so compiling twice stores once."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from ledger.envelope import Event
from ledger.values import JsonObject

KIND = "snapshot"


class StepInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an argument comes from: the named output of an upstream step."""

    step: str
    output: str


class StepSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node of the DAG. `upstream` holds every step that must finish before; `outputs` are names in order;
    `code_digest` is the SHA-256 (hex) of the step's source text."""

    name: str
    source: str
    code_digest: str
    upstream: tuple[str, ...] = ()
    inputs: dict[str, StepInput] = {}
    outputs: tuple[str, ...] = ()
    parameters: JsonObject = {}
    retries: int = 0
    cache: bool = True
    settings: JsonObject = {}
    docstring: str = ""


class SnapshotCreated(Event, frozen=True):
    """`digest` is the SHA-256 (hex) of the compiled form; the steps follow in `snapshot.steps_defined`."""

    type: ClassVar[str] = "snapshot.created"

    pipeline_id: UUID
    digest: str
    step_count: int
    parameters: JsonObject = {}
    settings: JsonObject = {}
    environment: JsonObject = {}


class SnapshotStepsDefined(Event, frozen=True):
    """A bounded slice of the steps, in topological order, so that no event outgrows its limit."""

    type: ClassVar[str] = "snapshot.steps_defined"

    steps: tuple[StepSpec, ...]


EVENTS = (SnapshotCreated, SnapshotStepsDefined)
