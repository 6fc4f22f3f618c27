"""Events as bytes: canonical, bounded, and read back as what they were."""

from __future__ import annotations

import pytest

from ledger.codec import EVENT_DATA_BYTES_MAX, decode_data, encode_data
from ledger.errors import BrokenUpcasters, EventTooLarge, UnknownEventType, UnstorableText
from ledger.events.metadata import MetadataLogged
from ledger.events.pipeline import PipelineUpdated
from ledger.events.stack import StackRegistered
from ledger.upcasters import Upcaster, check_chains
from ledger.values import new_id


def logged(values: dict[str, object]) -> MetadataLogged:
    return MetadataLogged(resource_kind="run", resource_id=new_id(), values=values)


def test_keys_are_sorted_and_absent_fields_left_out() -> None:
    assert encode_data(PipelineUpdated(description="x")) == b'{"description":"x"}'
    component = new_id()
    event = StackRegistered(name="s", components={"orchestrator": component, "artifact_store": component})
    text = encode_data(event).decode()
    assert (
        text.index("artifact_store") < text.index("orchestrator") < text.index('"description"') < text.index('"name"')
    )


def test_the_order_of_insertion_does_not_change_the_bytes() -> None:
    event = logged({"a": 1, "b": {"d": 1, "c": 2}})
    other = MetadataLogged("run", event.resource_id, {"b": {"c": 2, "d": 1}, "a": 1})
    assert encode_data(event) == encode_data(other)


def test_an_event_over_the_limit_is_refused() -> None:
    with pytest.raises(EventTooLarge):
        encode_data(logged({"x": "y" * EVENT_DATA_BYTES_MAX}))


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\\\x00", "\\\\\x00"])
def test_text_with_nul_is_refused(text: str) -> None:
    with pytest.raises(UnstorableText):
        encode_data(logged({"x": text}))


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "u0000", "0"])
def test_text_that_only_looks_like_nul_is_kept(text: str) -> None:
    event = logged({"x": text})
    assert decode_data(event.type, 1, encode_data(event)) == event


def test_unknown_types_and_newer_schemas_are_refused() -> None:
    with pytest.raises(UnknownEventType):
        decode_data("pipeline.exploded", 1, b"{}")
    with pytest.raises(UnknownEventType):
        decode_data("pipeline.updated", 2, b"{}")


def test_a_superfluous_upcaster_is_found_at_start() -> None:
    check_chains()
    with pytest.raises(BrokenUpcasters):
        check_chains((Upcaster("pipeline.updated", 1, lambda fields: fields),))
