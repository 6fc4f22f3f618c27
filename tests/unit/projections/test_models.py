"""Models show their versions: how many, the newest, the one in production. Metadata shows the newest value."""

from __future__ import annotations

from uuid import UUID

from ledger.events.metadata import MetadataLogged
from ledger.events.model import ModelRegistered
from ledger.events.model_version import (
    ModelVersionArtifactLinked,
    ModelVersionDeleted,
    ModelVersionDemoted,
    ModelVersionPromoted,
    ModelVersionRegistered,
    ModelVersionRestored,
)
from ledger.values import derived_id
from tests.unit.projections.folding import Folded

MODEL, FIRST, SECOND, ARTIFACT, RUN = (UUID(int=n) for n in range(1, 6))


def churn() -> Folded:
    folded = Folded().record("model", MODEL, ModelRegistered(name="churn"))
    folded.record("model_version", FIRST, ModelVersionRegistered(model_id=MODEL, number=1))
    return folded.record("model_version", SECOND, ModelVersionRegistered(model_id=MODEL, number=2))


def test_a_model_counts_its_versions() -> None:
    folded = churn().record("model_version", SECOND, ModelVersionDeleted())
    assert folded.row("models", MODEL)["version_count"] == 1
    assert folded.row("models", MODEL)["latest_version_number"] == 2
    assert folded.record("model_version", SECOND, ModelVersionRestored()).row("models", MODEL)["version_count"] == 2


def test_a_model_names_the_version_in_production() -> None:
    promoted = ModelVersionPromoted(stage="production", previous_stage="none")
    folded = churn().record("model_version", FIRST, promoted)
    assert folded.row("models", MODEL)["production_version_number"] == 1
    demoted = ModelVersionDemoted(stage="archived", previous_stage="production", by=SECOND)
    folded.record("model_version", FIRST, demoted)
    assert folded.row("models", MODEL)["production_version_id"] is None
    folded.record("model_version", SECOND, promoted)
    assert folded.row("models", MODEL)["production_version_id"] == SECOND
    assert folded.row("model_versions", FIRST)["stage"] == "archived"


def test_a_deleted_version_is_not_in_production() -> None:
    folded = churn().record("model_version", FIRST, ModelVersionPromoted(stage="production", previous_stage="none"))
    folded.record("model_version", FIRST, ModelVersionDeleted())
    assert folded.row("models", MODEL)["production_version_id"] is None
    folded.record("model_version", FIRST, ModelVersionRestored())
    assert folded.row("models", MODEL)["production_version_id"] == FIRST


def test_linked_artifacts_gather_by_role() -> None:
    folded = churn().record(
        "model_version", FIRST, ModelVersionArtifactLinked(role="data", artifact_version_id=ARTIFACT)
    )
    assert folded.row("model_versions", FIRST)["artifacts"] == {"data": ARTIFACT}


def logged(folded: Folded, stream: int, **values: object) -> None:
    event = MetadataLogged(resource_kind="run", resource_id=RUN, values=values, step_index=stream)
    folded.record("metadata", UUID(int=100 + stream), event)


def test_the_newest_value_of_a_key_wins_and_every_number_is_a_point() -> None:
    folded = Folded()
    logged(folded, 1, loss=0.5, note="warm-up", done=False)
    logged(folded, 2, loss=0.25)
    loss = folded.row("metadata", derived_id("metadata", RUN, "", "loss"))
    assert (loss["value"], loss["step_index"], loss["from_position"]) == (0.25, 2, 2)
    points = folded.rows.inserted("metric_points")
    assert sorted((point["key"], point["value"]) for point in points) == [("loss", 0.25), ("loss", 0.5)]


def test_a_number_beyond_a_double_is_metadata_but_no_point() -> None:
    folded = Folded()
    logged(folded, 1, huge=10**400)
    assert folded.row("metadata", derived_id("metadata", RUN, "", "huge"))["value"] == 10**400
    assert folded.rows.inserted("metric_points") == []
