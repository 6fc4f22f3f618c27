"""Who stands on events: the person whom the gateway is told, by pseudonym only."""

from __future__ import annotations

import msgspec
import pytest
from starlette.requests import Request

from gateway.authentication import LocalUser
from gateway.settings import read_settings

PERSON = "person/0190a000-0000-7000-8000-000000000001"


async def test_a_gateway_acts_for_the_person_whom_it_is_told() -> None:
    settings = read_settings({"EVERLINE_DSN": "x", "EVERLINE_ACTOR": PERSON})
    request = Request({"type": "http", "headers": [(b"host", b"127.0.0.1:8237")]})
    assert (await LocalUser(settings.actor).authenticate(request)).name == PERSON
    assert (await LocalUser().authenticate(request)).name.startswith("user:")


@pytest.mark.parametrize("actor", ["ada", "person/ada", "user:ada", PERSON + "x", ""])
def test_a_name_is_no_pseudonym(actor: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="EVERLINE_ACTOR"):
        read_settings({"EVERLINE_DSN": "x", "EVERLINE_ACTOR": actor})
