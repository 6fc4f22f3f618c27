"""Metadata and metrics that a step, or a script, notes about runs, artifacts and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from everline import config, sending
from everline.errors import InvalidParameter
from everline.execution.context import current_step
from everline.ids import new_id
from everline.values import jsonable

KEY_LENGTH_MAX = 200


def log_metadata(
    values: Mapping[str, Any],
    *,
    artifact: str | None = None,
    model: str | None = None,
    run: str | None = None,
    step: int | None = None,
) -> None:
    """Notes values about the running step, or about something that is named.

    `artifact` is an output of the running step, or any artifact version (`classifier@3`); `model` a model version
    (`churn@14`); `run` a run by id. `step` is the x-axis of a series (an epoch, a batch number): numbers
    logged with it become a curve. NaN and infinities are kept as "NaN", "Infinity" and "-Infinity". Returns at once;
    raises InvalidParameter when nothing is named and no step is running.
    """
    checked = {metadata_key(name): jsonable(value) for name, value in values.items()}
    context = current_step()
    if context is not None and artifact in context.output_names:
        recorder, output = context.recorder, str(artifact)
        context.after_outputs.append(
            lambda ids: recorder.metadata(checked, kind="artifact_version", resource=ids[output], step_index=step)
        )
        return
    match artifact, model, run:
        case str(), None, None:
            _put(checked, "artifact_version", artifact, step_index=step)
        case None, str(), None:
            _put(checked, "model_version", model, step_index=step)
        case None, None, str():
            _put(checked, "run", run, step_index=step)
        case None, None, None if context is not None:
            context.recorder.metadata(checked, step=context.step, step_index=step)
        case None, None, None:
            raise InvalidParameter(
                "no step is running here, so say what the metadata is about",
                hint='log_metadata({...}, run="..."), artifact="..." or model="..."',
            )
        case _:
            raise InvalidParameter("metadata is about one thing", hint="name an artifact, a model or a run")


def log_metric(name: str, value: float, *, step: int | None = None) -> None:
    """Notes one number about the running step; with `step` it is a point of a curve."""
    log_metadata({name: value}, step=step)


def metadata_key(name: str) -> str:
    """The name of a value. Raises InvalidParameter."""
    name = str(name)
    if not name or len(name) > KEY_LENGTH_MAX or ":" in name or any(ord(letter) < 32 for letter in name):
        raise InvalidParameter(
            f"{name!r} cannot name a value", hint=f"1 to {KEY_LENGTH_MAX} characters without a colon"
        )
    return name


def _put(values: Mapping[str, Any], kind: str, resource: str, *, step_index: int | None) -> None:
    """Outside of the run's own story: to the workspace that is active."""
    body = {"id": new_id(), "resource_kind": kind, "resource": resource, "values": values, "step_index": step_index}
    context = current_step()
    if context is not None:
        context.recorder.put("log-metadata", body)
    else:
        sending.outbox_for(config.resolve()).put("log-metadata", body)
