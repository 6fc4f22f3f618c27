"""Components: configurations that fit their flavor, and protection while a stack uses them."""

from __future__ import annotations

from typing import Any

import pytest

from commands.component import (
    DeleteComponent,
    RegisterComponent,
    RestoreComponent,
    State,
    UpdateComponent,
    restore,
)
from commands.rejections import AlreadyExists, ComponentInUse, InvalidConfiguration, NotDeleted, UnknownFlavor
from commands.stack import DeleteStack, RestoreStack
from ledger.envelope import NewEvent
from ledger.events.component import (
    ComponentDeleted,
    ComponentRegistered,
    ComponentRestored,
    ComponentUpdated,
)
from tests.support import first_events as first
from tests.support.deciding import given, stream

LOCAL, STORE = stream("component", "local"), stream("component", "store")


def a_store(flavor: str, **configuration: Any) -> RegisterComponent:
    return RegisterComponent(
        id=STORE.id, name="store", component_type="artifact_store", flavor=flavor, configuration=configuration
    )


def test_defaults_are_written_down() -> None:
    command = RegisterComponent(id=LOCAL.id, name="local", component_type="orchestrator", flavor="local")
    event = ComponentRegistered(
        name="local", component_type="orchestrator", flavor="local", configuration={"parallelism_max": 4}
    )
    given().when(command).then(NewEvent(LOCAL, event))
    given().when(command, command).then()


@pytest.mark.parametrize(
    ("flavor", "configuration"),
    [
        ("local", {"path": "/data"}),
        ("s3", {"path": "s3://bucket/a/b", "anonymous": False}),
        ("s3", {"path": "s3://bucket", "endpoint_url": "http://127.0.0.1:9000", "region": "eu-1", "anonymous": True}),
    ],
)
def test_stores(flavor: str, configuration: dict[str, Any]) -> None:
    [made] = given().when(a_store(flavor, **configuration)).events()
    assert isinstance(made.event, ComponentRegistered)
    assert made.event.configuration == configuration


@pytest.mark.parametrize(
    ("flavor", "configuration", "about"),
    [
        ("local", {}, "missing required field `path`"),
        ("local", {"path": "data"}, "$.path"),
        ("local", {"path": 1}, "$.path"),
        ("s3", {"path": "/data"}, "$.path"),
        ("s3", {"path": "s3://key:word@bucket"}, "$.path"),
        ("s3", {"path": "s3://bucket", "endpoint_url": "http://me:word@host"}, "$.endpoint_url"),
        ("s3", {"path": "s3://bucket", "secret_access_key": "x"}, "unknown field `secret_access_key`"),
    ],
)
def test_bad_configurations_are_refused_by_name_and_never_echo_values(
    flavor: str, configuration: dict[str, Any], about: str
) -> None:
    refused = given().when(a_store(flavor, **configuration)).rejection()
    assert isinstance(refused, InvalidConfiguration)
    assert about in refused.reason
    assert "word" not in refused.message()


def test_unknown_flavors_are_refused() -> None:
    given().when(a_store("gcs")).then(
        UnknownFlavor(component_type="artifact_store", flavor="gcs", known=["local", "s3"])
    )
    feature_store = RegisterComponent(name="f", component_type="feature_store", flavor="feast")
    given().when(feature_store).then(UnknownFlavor(component_type="feature_store", flavor="feast", known=[]))


def test_another_component_under_the_same_id_is_refused() -> None:
    given(first.component("store", "artifact_store")).when(a_store("local", path="/else")).then(AlreadyExists(STORE))


def test_an_update_is_checked_against_the_flavor() -> None:
    world = given(first.component("store", "artifact_store"))
    world.when(UpdateComponent(component="store", configuration={"path": "/data"})).then()
    world.when(UpdateComponent(component="store", configuration={"path": "/else"}, labels={"a": "b"})).then(
        NewEvent(STORE, ComponentUpdated(configuration={"path": "/else"}, labels={"a": "b"}))
    )
    assert isinstance(
        world.when(UpdateComponent(component="store", configuration={"bucket": "x"})).rejection(), InvalidConfiguration
    )


def test_a_component_that_a_stack_uses_cannot_be_deleted() -> None:
    world = given(*first.stack("s"))
    world.when(DeleteComponent(component="local")).then(ComponentInUse(component="local", stack="s"))
    world.when(DeleteStack(stack="s"), DeleteComponent(component="local")).then(NewEvent(LOCAL, ComponentDeleted()))
    assert world.when(RestoreStack(stack=str(stream("stack", "s").id))).rejection().code == "not_found"
    world.when(RestoreComponent(component=str(LOCAL.id))).then(NewEvent(LOCAL, ComponentRestored()))
    world.when(RestoreComponent(component="local")).then(NotDeleted(LOCAL))


def test_the_way_back() -> None:
    past = State("local", "orchestrator", "local", {"parallelism_max": 4}, "", {})
    now = State("renamed", "orchestrator", "local", {"parallelism_max": 8}, "", {}, deleted=True)
    ref = str(LOCAL.id)
    assert restore(LOCAL, now, past) == [
        RestoreComponent(component=ref),
        UpdateComponent(component=ref, name="local", configuration={"parallelism_max": 4}),
    ]
    assert restore(LOCAL, past, None) == [DeleteComponent(component=ref)]
