"""The stored bytes of every released event schema still decode, and still encode to the same bytes.

`events.jsonl` holds one line per event type and schema, as it lies in the log. Lines are added, never changed: when an
event gets a new schema, its old line shows that the upcaster works. Personal fields are stored sealed, with the key
beside them and what they hold when they are opened; sealing is never the same twice, so their bytes are only read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.codec import decode_data, encode_data
from ledger.erasure import Seal
from ledger.events.registry import event_types
from ledger.personal import is_personal

SEALED_FOR = (
    UUID(int=0),
    UUID("0190a000-0000-7000-8000-000000000001"),
    UUID("0190a000-0000-7000-8000-000000000002"),
)
"""The workspace, the person and the event of every sealed line."""

STORED = [json.loads(line) for line in (Path(__file__).parent / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("line", STORED, ids=lambda line: f"{line['type']}-{line['schema']}")
def test_stored_bytes_decode(line: dict[str, Any]) -> None:
    schema = int(line["schema"])
    seal = Seal(bytes.fromhex(line["sealed_with"]), *SEALED_FOR) if "sealed_with" in line else None
    event = decode_data(line["type"], schema, line["data"].encode(), seal)
    assert event.type == line["type"]
    if seal is not None:
        assert json.loads(msgspec.json.encode(event)) == line["opened"]
        assert decode_data(line["type"], schema, encode_data(event, seal), seal) == event
    elif schema == event.schema:
        assert encode_data(event).decode() == line["data"]


def test_exactly_the_events_with_personal_fields_are_stored_sealed() -> None:
    sealed = {line["type"] for line in STORED if "sealed_with" in line}
    assert sealed == {name for name in event_types() if is_personal(name)}


def test_every_schema_of_every_event_type_is_stored() -> None:
    stored = {(line["type"], int(line["schema"])) for line in STORED}
    released = {(event.type, schema) for event in event_types().values() for schema in range(1, event.schema + 1)}
    assert stored == released, "add the missing line to tests/compat/events.jsonl"
