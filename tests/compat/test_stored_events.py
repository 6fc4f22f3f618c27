"""The stored bytes of every released event schema still decode, and still encode to the same bytes.

`events.jsonl` holds one line per event type and schema, as it lies in the log. Lines are added, never changed: when an
event gets a new schema, its old line shows that the upcaster works.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger.codec import decode_data, encode_data
from ledger.events.registry import event_types

STORED = [json.loads(line) for line in (Path(__file__).parent / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("line", STORED, ids=lambda line: f"{line['type']}-{line['schema']}")
def test_stored_bytes_decode(line: dict[str, str]) -> None:
    schema = int(line["schema"])
    event = decode_data(line["type"], schema, line["data"].encode())
    assert event.type == line["type"]
    if schema == event.schema:
        assert encode_data(event).decode() == line["data"]


def test_every_schema_of_every_event_type_is_stored() -> None:
    stored = {(line["type"], int(line["schema"])) for line in STORED}
    released = {(event.type, schema) for event in event_types().values() for schema in range(1, event.schema + 1)}
    assert stored == released, "add the missing line to tests/compat/events.jsonl"
