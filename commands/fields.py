"""The field types of commands, with their bounds: what does not fit is refused before anything is decided."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

NAME_LENGTH_MAX = 200
TEXT_LENGTH_MAX = 10_000
LABELS_MAX = 64
REF_LENGTH_MAX = 450

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LENGTH_MAX,
        pattern=r"^[^\s@/:,\x00-\x1f][^@/:,\x00-\x1f]*(?<!\s)$",
        description="1 to 200 characters without @ / : , or control characters, no space at either end",
    ),
]
Ref = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REF_LENGTH_MAX,
        description="a name, an id, or an unambiguous prefix of an id",
    ),
]
Text = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
Uri = Annotated[str, Meta(min_length=1, max_length=2_000)]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="a SHA-256 in lower-case hex")]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=100)], Annotated[str, Meta(max_length=NAME_LENGTH_MAX)]],
    Meta(max_length=LABELS_MAX),
]
JsonFields = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)], Any], Meta(max_length=1_000)
]

ComponentType = Literal[
    "alerter",
    "annotator",
    "artifact_store",
    "container_registry",
    "data_validator",
    "deployer",
    "experiment_tracker",
    "feature_store",
    "image_builder",
    "log_store",
    "model_deployer",
    "model_registry",
    "orchestrator",
    "sandbox",
    "step_operator",
]
Stage = Literal["none", "staging", "production", "archived"]
EXCLUSIVE_STAGES = frozenset({"staging", "production"})
Color = Literal["grey", "purple", "red", "green", "yellow", "orange", "lime", "teal", "turquoise", "magenta", "blue"]
TaggableKind = Literal[
    "artifact",
    "artifact_version",
    "component",
    "model",
    "model_version",
    "pipeline",
    "run",
    "snapshot",
    "stack",
]
MetadataKind = Literal["run", "artifact_version", "model_version"]
SaveType = Literal["step_output", "manual", "preexisting", "external"]
ArtifactType = Literal[
    "DataArtifact",
    "ModelArtifact",
    "ServiceArtifact",
    "DataAnalysisArtifact",
    "SchemaArtifact",
    "StatisticsArtifact",
    "BaseArtifact",
]
