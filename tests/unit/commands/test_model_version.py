"""Model versions: one holder per exclusive stage, whoever is displaced is archived first."""

from __future__ import annotations

import pytest

from commands.command import child_key, number_key
from commands.fields import Stage
from commands.model_version import (
    DeleteModelVersion,
    LinkArtifact,
    PromoteModelVersion,
    RegisterModelVersion,
    RestoreModelVersion,
    UpdateModelVersion,
    restore,
)
from commands.rejections import AlreadyExists, EntityNotFound, NotDeleted, StageTaken, VersionInStage
from ledger.envelope import NewEvent
from ledger.events.model import ModelRegistered
from ledger.events.model_version import (
    ModelVersionArtifactLinked,
    ModelVersionDeleted,
    ModelVersionDemoted,
    ModelVersionPromoted,
    ModelVersionRegistered,
    ModelVersionRestored,
    ModelVersionUpdated,
)
from tests.support import first_events as first
from tests.support.deciding import World, given, stream

CHURN = stream("model", "churn")
ONE, TWO = stream("model_version", "churn@1"), stream("model_version", "churn@2")
PRODUCTION = child_key("model_version", CHURN.id, "production")


def two_versions() -> World:
    return given(first.model("churn"), first.model_version("churn", 1), first.model_version("churn", 2))


def promote(version: str, stage: Stage = "production", *, force: bool = False) -> PromoteModelVersion:
    return PromoteModelVersion(model_version=version, stage=stage, force=force, reason="better")


def promoted(stage: str = "production", previous_stage: str = "none") -> ModelVersionPromoted:
    return ModelVersionPromoted(stage=stage, previous_stage=previous_stage, reason="better")


def test_the_first_version_makes_the_model() -> None:
    model, version = given().when(RegisterModelVersion(model="churn")).events()
    assert model.event == ModelRegistered(name="churn")
    assert version.event == ModelVersionRegistered(model_id=model.stream.id, number=1)


def test_a_version_names_its_artifacts_and_its_run() -> None:
    world = given(
        first.model("churn"), first.artifact("weights"), first.artifact_version("weights", 3), *first.run("r")
    )
    run, weights = stream("run", "r"), stream("artifact_version", "weights@3")
    command = RegisterModelVersion(
        id=ONE.id, model="churn", description="d", run=str(run.id), artifacts={"model": "weights@3"}
    )
    event = ModelVersionRegistered(
        model_id=CHURN.id, number=1, description="d", run_id=run.id, artifacts={"model": weights.id}
    )
    world.when(command).then(NewEvent(ONE, event))
    world.when(command).then()
    world.when(RegisterModelVersion(id=ONE.id, model="churn")).then(AlreadyExists(ONE))
    world.when(RegisterModelVersion(model="churn", artifacts={"model": "weights@4"})).then(
        EntityNotFound("artifact_version", "weights@4")
    )


def test_an_artifact_is_linked_once_per_role() -> None:
    world = given(
        first.model("churn"),
        first.model_version("churn", 1),
        first.artifact("weights"),
        first.artifact_version("weights", 1),
    )
    weights = stream("artifact_version", "weights@1").id
    link = LinkArtifact(model_version="churn@1", role="model", artifact_version="weights@1")
    world.when(link).then(NewEvent(ONE, ModelVersionArtifactLinked(role="model", artifact_version_id=weights)))
    world.when(link).then()


def test_a_free_stage_is_taken() -> None:
    world = two_versions()
    world.when(promote("churn@1")).then(NewEvent(ONE, promoted()))
    assert world.claims(ONE) == {number_key("model_version", CHURN.id, 1), PRODUCTION}
    world.when(promote("churn@production")).then()
    world.when(promote("churn@production", "staging")).then(NewEvent(ONE, promoted("staging", "production")))
    world.when(promote("churn@2")).then(NewEvent(TWO, promoted()))


def test_a_taken_stage_names_its_holder() -> None:
    two_versions().when(promote("churn@1"), promote("churn@2")).then(
        StageTaken(stage="production", holder=ONE.id, number=1)
    )


def test_force_archives_the_holder_first() -> None:
    world = two_versions()
    demoted = ModelVersionDemoted(stage="archived", previous_stage="production", by=TWO.id, reason="better")
    world.when(promote("churn@1"), promote("churn@2", force=True)).then(
        NewEvent(ONE, demoted), NewEvent(TWO, promoted())
    )
    assert PRODUCTION not in world.claims(ONE)
    assert PRODUCTION in world.claims(TWO)


def test_every_model_has_its_own_production() -> None:
    world = given(
        first.model("churn"), first.model_version("churn", 1), first.model("fraud"), first.model_version("fraud", 1)
    )
    world.when(promote("churn@1"), promote("fraud@1")).events()


@pytest.mark.parametrize("stage", ["none", "archived"])
def test_leaving_a_stage_is_a_demotion_by_nobody(stage: Stage) -> None:
    event = ModelVersionDemoted(stage=stage, previous_stage="production", by=None, reason="better")
    world = two_versions().when(promote("churn@1"), promote("churn@1", stage)).then(NewEvent(ONE, event))
    world.when(promote("churn@2", stage), promote("churn@1", stage)).then()


def test_a_version_in_an_exclusive_stage_cannot_be_deleted() -> None:
    world = two_versions()
    world.when(promote("churn@1"), DeleteModelVersion(model_version="churn@1")).then(
        VersionInStage(model_version=ONE.id, stage="production")
    )
    world.when(promote("churn@1", "archived"), DeleteModelVersion(model_version="churn@1")).then(
        NewEvent(ONE, ModelVersionDeleted())
    )
    world.when(promote("churn@1")).then(EntityNotFound("model_version", "churn@1"))
    world.when(RestoreModelVersion(model_version="churn@1")).then(NewEvent(ONE, ModelVersionRestored()))
    world.when(RestoreModelVersion(model_version="churn@1")).then(NotDeleted(ONE))


def test_the_description_changes_once() -> None:
    update = UpdateModelVersion(model_version="churn@1", description="d")
    two_versions().when(update).then(NewEvent(ONE, ModelVersionUpdated(description="d"))).when(update).then()


# The way back.


def test_back_to_the_stages_of_before_in_any_order() -> None:
    for order in ((ONE, TWO), (TWO, ONE)):
        world = two_versions()
        world.when(promote("churn@1"), promote("churn@2", "staging")).events()
        past = {version: world.state(version) for version in order}
        world.when(promote("churn@2", force=True), promote("churn@1", "staging")).events()
        commands = [command for version in order for command in restore(version, world.state(version), past[version])]
        world.when(*commands)
        assert {version: world.state(version) for version in order} == past


def test_back_to_before_it_existed() -> None:
    world = two_versions()
    world.when(promote("churn@1")).events()
    world.when(*restore(ONE, world.state(ONE), None)).events()
    assert world.state(ONE).deleted
    assert restore(ONE, world.state(ONE), None) == []


def test_back_to_the_description_and_the_artifacts_of_before() -> None:
    world = given(
        first.model("churn"),
        first.model_version("churn", 1),
        first.artifact("weights"),
        *(first.artifact_version("weights", number) for number in (1, 2)),
    )
    world.when(LinkArtifact(model_version="churn@1", role="model", artifact_version="weights@1")).events()
    past = world.state(ONE)
    world.when(
        LinkArtifact(model_version="churn@1", role="model", artifact_version="weights@2"),
        UpdateModelVersion(model_version="churn@1", description="d"),
        DeleteModelVersion(model_version="churn@1"),
    ).events()
    world.when(*restore(ONE, world.state(ONE), past)).events()
    assert world.state(ONE) == past
