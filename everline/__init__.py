"""Everline: the system of record for machine-learning work. This is what a person installs and imports.

    from everline import pipeline, step, Client

Self-contained: nothing here imports the server's packages. The decorators are here at once, everything else is loaded
when it is first used, so that `import everline` stays cheap. Start reading at `step.py` and `pipeline.py`, then
`execution/engine.py`, which runs a pipeline, and `sending.py`, which tells the server; `client.py` is the HTTP API.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from everline.errors import (
    Conflict,
    EverlineError,
    Forbidden,
    IntegrityError,
    InvalidPipeline,
    NotFound,
    OutputNotStorable,
    ReadOnlyMoment,
    RunFailed,
    StaleRead,
    Unavailable,
    ValidationFailed,
)
from everline.pipeline import pipeline
from everline.step import step

if TYPE_CHECKING:
    from everline.artifacts.materializer import register_materializer
    from everline.client import AsyncClient, Client
    from everline.execution.context import get_step_context
    from everline.metadata import log_metadata, log_metric
    from everline.models import register_model_version
    from everline.sending import sync
    from everline.tracking import start_run

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "EverlineError",
    "Forbidden",
    "IntegrityError",
    "InvalidPipeline",
    "NotFound",
    "OutputNotStorable",
    "ReadOnlyMoment",
    "RunFailed",
    "StaleRead",
    "Unavailable",
    "ValidationFailed",
    "get_step_context",
    "log_metadata",
    "log_metric",
    "pipeline",
    "register_materializer",
    "register_model_version",
    "start_run",
    "step",
    "sync",
]

_LOADED_WHEN_USED = {
    "AsyncClient": "everline.client",
    "Client": "everline.client",
    "get_step_context": "everline.execution.context",
    "log_metadata": "everline.metadata",
    "log_metric": "everline.metadata",
    "register_materializer": "everline.artifacts.materializer",
    "register_model_version": "everline.models",
    "start_run": "everline.tracking",
    "sync": "everline.sending",
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_USED:
        raise AttributeError(f"module 'everline' has no attribute {name!r}")
    value = getattr(import_module(_LOADED_WHEN_USED[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
