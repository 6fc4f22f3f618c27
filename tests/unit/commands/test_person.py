"""People: what identifies them, what the law holds, and that an erasure is final."""

from __future__ import annotations

import msgspec
import pytest

from commands.person import (
    ErasePerson,
    PlaceLegalHold,
    RegisterPerson,
    ReleaseLegalHold,
    UpdatePerson,
    claims,
    evolve,
)
from commands.rejections import NameTaken, NoSuchHold, PersonIsErased, ReasonNamesPerson, UnderLegalHold
from ledger.envelope import NewEvent
from ledger.events.person import (
    PersonErased,
    PersonHoldPlaced,
    PersonHoldReleased,
    PersonRegistered,
    PersonUpdated,
)
from ledger.personal import ERASED
from tests.support.deciding import given, stream

ADA = stream("person", "ada")
REGISTERED = NewEvent(ADA, PersonRegistered(handle="ada", name="Ada Lovelace", email="ada@example.org"))
HELD = NewEvent(ADA, PersonHoldPlaced(matter="case 7", reason="a dispute"))
GONE = NewEvent(ADA, PersonErased(reason="ticket 12"))


def test_registering_and_changing_only_what_differs() -> None:
    command = RegisterPerson(id=ADA.id, handle="ada", name="Ada Lovelace", email="ada@example.org")
    given().when(command).then(REGISTERED)
    given(REGISTERED).when(command).then()
    changed = UpdatePerson(person="ada", name="Ada King", handle="ada")
    given(REGISTERED).when(changed).then(NewEvent(ADA, PersonUpdated(name="Ada King")))


@pytest.mark.parametrize("taken", ["ada", "ada@example.org"])
def test_a_handle_and_an_address_are_of_one_person(taken: str) -> None:
    command = RegisterPerson(handle=taken.partition("@")[0] if taken == "ada" else "other", name="X", email="")
    command = msgspec.structs.replace(command, email=taken.upper() if "@" in taken else "")
    given(REGISTERED).when(command).then(NameTaken(f"person:{taken}", holder=ADA))


@pytest.mark.parametrize("ref", ["ada", "ada@example.org", str(ADA.id)])
def test_a_hold_blocks_the_erasure_by_name_until_it_is_released(ref: str) -> None:
    given(REGISTERED).when(PlaceLegalHold(person=ref, matter="case 7", reason="a dispute")).then(HELD)
    erase = ErasePerson(person=ref, reason="ticket 12")
    given(REGISTERED, HELD).when(erase).then(UnderLegalHold(ADA, matters=["case 7"]))
    released = NewEvent(ADA, PersonHoldReleased(matter="case 7"))
    given(REGISTERED, HELD).when(ReleaseLegalHold(person=ref, matter="case 7")).then(released)
    given(REGISTERED, HELD, released).when(erase).then(GONE)


def test_every_matter_holds_by_itself() -> None:
    other = PlaceLegalHold(person="ada", matter="case 8")
    given(REGISTERED, HELD).when(
        other, ReleaseLegalHold(person="ada", matter="case 7"), ErasePerson(person="ada", reason="ticket 12")
    ).then(UnderLegalHold(ADA, matters=["case 8"]))
    given(REGISTERED, HELD).when(ReleaseLegalHold(person="ada", matter="case 9")).then(
        NoSuchHold(ADA, matter="case 9", matters=["case 7"])
    )
    given(REGISTERED, HELD).when(PlaceLegalHold(person="ada", matter="case 7", reason="a dispute")).then()


def test_an_erased_person_holds_no_claim_and_takes_no_command() -> None:
    ref = str(ADA.id)
    given(REGISTERED, GONE).when(UpdatePerson(person=ref, name="Ada")).then(PersonIsErased(ADA))
    given(REGISTERED, GONE).when(PlaceLegalHold(person=ref, matter="case 7")).then(PersonIsErased(ADA))
    given(REGISTERED, GONE).when(ErasePerson(person=ref, reason="again")).then()
    assert given(REGISTERED, GONE).claims(ADA) == set()
    given(REGISTERED, GONE).when(RegisterPerson(id=stream("person", "b").id, handle="ada", name="B")).events()


def test_history_folds_without_the_key() -> None:
    state = None
    for event in (
        PersonRegistered(handle=ERASED, name=ERASED, email=ERASED),
        PersonHoldPlaced(matter="case 7", reason=ERASED),
        PersonUpdated(name=ERASED),
        PersonHoldReleased(matter="case 7", reason=ERASED),
        PersonErased(reason="ticket 12"),
    ):
        state = evolve(state, event)
    assert state is not None
    assert (state.erased, state.holds, claims(state)) == (True, {}, set())


@pytest.mark.parametrize("reason", ["asked by Ada Lovelace", "see ADA@example.org", "ada wants it"])
def test_a_reason_that_would_keep_the_person_readable_is_refused(reason: str) -> None:
    given(REGISTERED).when(ErasePerson(person="ada", reason=reason)).then(ReasonNamesPerson(ADA))


@pytest.mark.parametrize(
    "body",
    [
        {"handle": "ada", "name": ERASED},
        {"handle": "Ada", "name": "x"},
        {"handle": "a@b", "name": "x"},
        {"handle": "ada", "name": " x"},
        {"handle": "ada", "name": "x", "email": "nobody"},
        {"handle": "ada", "name": "x" * 201},
    ],
)
def test_what_is_no_handle_name_or_address_is_refused(body: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=RegisterPerson)
