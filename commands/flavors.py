"""The flavors of components and what each may be configured with. A field that is not here is refused: configurations
enter the ledger for ever, so none has a place for a credential."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from commands.rejections import InvalidConfiguration, UnknownFlavor
from ledger.values import JsonObject

PARALLELISM_MAX = 64
PATH_LENGTH_MAX = 1_000

S3Path = Annotated[str, Meta(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?$", max_length=PATH_LENGTH_MAX)]
AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=PATH_LENGTH_MAX)]
EndpointUrl = Annotated[str, Meta(pattern=r"^https?://[^@\s?#]+$", max_length=PATH_LENGTH_MAX)]
Region = Annotated[str, Meta(pattern="^[a-z0-9-]+$", max_length=50)]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a component of one flavor may be told."""


class LocalOrchestrator(Configuration, frozen=True, kw_only=True):
    """Steps are processes on the machine of the runner, so many at a time."""

    parallelism_max: Annotated[int, Meta(ge=1, le=PARALLELISM_MAX)] = 4


class LocalArtifactStore(Configuration, frozen=True, kw_only=True):
    """A folder on the machine of the runner."""

    path: AbsolutePath


class S3ArtifactStore(Configuration, frozen=True, kw_only=True):
    """A bucket, or a folder in one, of S3 or what speaks its protocol. Credentials come from the environment of the
    process that reads or writes."""

    path: S3Path
    endpoint_url: EndpointUrl | None = None
    region: Region | None = None
    anonymous: bool = False


FLAVORS: dict[str, dict[str, type[Configuration]]] = {
    "orchestrator": {"local": LocalOrchestrator},
    "artifact_store": {"local": LocalArtifactStore, "s3": S3ArtifactStore},
}


def configured(
    component_type: str, flavor: str, configuration: JsonObject
) -> JsonObject | UnknownFlavor | InvalidConfiguration:
    """The whole configuration, with today's defaults: a later default does not change what was registered."""
    known = FLAVORS.get(component_type, {})
    if flavor not in known:
        return UnknownFlavor(component_type=component_type, flavor=flavor, known=sorted(known))
    try:
        checked = msgspec.convert(configuration, type=known[flavor])
    except msgspec.ValidationError as error:
        return InvalidConfiguration(component_type=component_type, flavor=flavor, reason=str(error))
    return {name: value for name, value in msgspec.to_builtins(checked).items() if value is not None}
