"""A model version and the stage it holds. A stage other than `none` and `archived` has one holder per model."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from msgspec import UNSET, UnsetType

from ledger.envelope import Event

KIND = "model_version"
PARENT = "model"


class ModelVersionRegistered(Event, frozen=True):
    """`number` counts from 1 inside the model; `artifacts` maps a role to an artifact version."""

    type: ClassVar[str] = "model_version.registered"

    model_id: UUID
    number: int
    description: str = ""
    run_id: UUID | None = None
    artifacts: dict[str, UUID] = {}


class ModelVersionUpdated(Event, frozen=True):
    type: ClassVar[str] = "model_version.updated"

    description: str | UnsetType = UNSET


class ModelVersionArtifactLinked(Event, frozen=True):
    type: ClassVar[str] = "model_version.artifact_linked"

    role: str
    artifact_version_id: UUID


class ModelVersionPromoted(Event, frozen=True):
    """The version now holds `stage`; whoever held it before was demoted at an earlier position of the same batch."""

    type: ClassVar[str] = "model_version.promoted"

    stage: str
    previous_stage: str
    reason: str = ""


class ModelVersionDemoted(Event, frozen=True):
    """The version lost its stage because `by` took it, or because somebody moved it back."""

    type: ClassVar[str] = "model_version.demoted"

    stage: str
    previous_stage: str
    by: UUID | None = None
    reason: str = ""


class ModelVersionDeleted(Event, frozen=True):
    type: ClassVar[str] = "model_version.deleted"


class ModelVersionRestored(Event, frozen=True):
    type: ClassVar[str] = "model_version.restored"


EVENTS = (
    ModelVersionRegistered,
    ModelVersionUpdated,
    ModelVersionArtifactLinked,
    ModelVersionPromoted,
    ModelVersionDemoted,
    ModelVersionDeleted,
    ModelVersionRestored,
)
