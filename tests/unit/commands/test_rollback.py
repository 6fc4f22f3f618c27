"""The record of a rollback."""

from __future__ import annotations

import msgspec
import pytest

from commands.rejections import AlreadyExists
from commands.rollback import RecordRollback
from ledger.envelope import NewEvent
from ledger.events.rollback import RollbackApplied
from tests.support.deciding import given, stream

ROLLBACK = stream("rollback", "r")
FIELDS = {"to_position": 3, "planned_at_position": 9, "reason": "a bad night", "entities": ("stack/1",)}
RECORD = msgspec.convert(FIELDS | {"id": str(ROLLBACK.id)}, RecordRollback)


def test_a_rollback_is_recorded_once() -> None:
    world = given().when(RECORD).then(NewEvent(ROLLBACK, msgspec.convert(FIELDS, RollbackApplied)))
    world.when(RECORD).then()
    world.when(msgspec.structs.replace(RECORD, reason="another")).then(AlreadyExists(ROLLBACK))


@pytest.mark.parametrize("bad", [{"reason": ""}, {"entities": []}, {"to_position": -1}])
def test_bad_bodies_do_not_become_commands(bad: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(FIELDS | bad, RecordRollback)
