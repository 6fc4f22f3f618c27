"""Registering a model version from a step or a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from everline import config, sending
from everline.errors import InvalidParameter
from everline.execution.context import StepContext, current_step
from everline.execution.results import StoredOutput
from everline.ids import new_id
from everline.metadata import metadata_key
from everline.names import checked_name
from everline.resources import ArtifactVersion
from everline.values import jsonable

if TYPE_CHECKING:
    from everline.config import Target


@dataclass(frozen=True)
class ModelVersion:
    """A model version that was just registered: its id is known at once, its number once the server gave it one."""

    model: str
    id: str
    target: Target

    @cached_property
    def number(self) -> int:
        """Counts from 1 inside the model. Waits for what was sent; raises Unavailable or NotFound while the server
        has not got it. Inside the step that stores one of its artifacts, it is not sent yet."""
        from everline.client import Client

        sending.outbox_for(self.target).flush()
        with Client(self.target.url, self.target.workspace) as client:
            return int(client.model_versions.get(self.id)["number"])


def register_model_version(
    name: str,
    artifacts: Mapping[str, Any] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    description: str = "",
) -> ModelVersion:
    """Registers a new version of a model, which is made when there is none of that name.

    `artifacts` maps a role to what plays it: inside a step a value that the step was given, or the name of one of its
    inputs or outputs; anywhere an artifact version (`classifier@3`, an id), or an output of a finished run. Nothing
    here waits for the server.
    """
    checked_name(name, what="a model")
    context, target = current_step(), config.resolve()
    version = ModelVersion(name, new_id(), target)
    facts = {metadata_key(key): jsonable(value) for key, value in (metadata or {}).items()}
    roles = {role: _reference(value, context, role=role) for role, value in (artifacts or {}).items()}

    def record(ids: Mapping[str, str]) -> None:
        put = context.recorder.put if context is not None else sending.outbox_for(target).put
        chosen = {role: ids[ref.name] if isinstance(ref, _OwnOutput) else ref for role, ref in roles.items()}
        body = {"id": version.id, "model": name, "description": description, "artifacts": chosen}
        put("register-model-version", {**body, "run": context.run_id if context is not None else None})
        if facts:
            about = {"id": new_id(), "resource_kind": "model_version", "resource": version.id}
            put("log-metadata", {**about, "values": facts})

    if context is not None and any(isinstance(ref, _OwnOutput) for ref in roles.values()):
        context.after_outputs.append(record)
    else:
        record({})
    return version


@dataclass(frozen=True)
class _OwnOutput:
    """An output of the running step: it has an id once the step has returned."""

    name: str


def _reference(value: Any, context: StepContext | None, *, role: str) -> str | _OwnOutput:
    """The artifact version that plays a role."""
    if isinstance(value, StoredOutput):
        return value.id
    if isinstance(value, ArtifactVersion):
        return str(value["id"])
    if context is not None:
        if not isinstance(value, str) and (held := context.input_holding(value)) is not None:
            return held
        if isinstance(value, str) and value in context.output_names:
            return _OwnOutput(value)
        if isinstance(value, str) and value in context.input_ids:
            return context.input_ids[value]
    if isinstance(value, str):
        return value
    raise InvalidParameter(
        f"the {type(value).__name__} for role {role!r} is not an artifact",
        hint="pass an input of the step, the name of one of its outputs, or an artifact version such as classifier@3",
    )
