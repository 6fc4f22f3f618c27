"""Code repositories: what may be registered, changed and restored, and that no address carries a password."""

from __future__ import annotations

import msgspec
import pytest

from commands.code_repository import (
    DeleteCodeRepository,
    RegisterCodeRepository,
    RestoreCodeRepository,
    UpdateCodeRepository,
)
from commands.rejections import NameTaken, NotDeleted
from ledger.envelope import NewEvent
from ledger.events.code_repository import (
    CodeRepositoryDeleted,
    CodeRepositoryRegistered,
    CodeRepositoryRestored,
    CodeRepositoryUpdated,
)
from tests.support.deciding import given, stream

URL = "https://example.org/team/models"
MODELS = stream("code_repository", "models")
REGISTERED = NewEvent(MODELS, CodeRepositoryRegistered(name="models", provider="github", url=URL))


def test_registering() -> None:
    command = RegisterCodeRepository(id=MODELS.id, name="models", provider="github", url=URL)
    given().when(command).then(REGISTERED)
    given(REGISTERED).when(command).then()


def test_a_name_has_one_holder() -> None:
    command = RegisterCodeRepository(name="models", provider="git", url=URL)
    given(REGISTERED).when(command).then(NameTaken("code_repository:models", holder=MODELS))


def test_only_what_differs_is_recorded() -> None:
    command = UpdateCodeRepository(code_repository="models", url=URL, description="all of them")
    given(REGISTERED).when(command).then(NewEvent(MODELS, CodeRepositoryUpdated(description="all of them")))


def test_deleting_and_restoring() -> None:
    ref = str(MODELS.id)
    deleted = NewEvent(MODELS, CodeRepositoryDeleted())
    given(REGISTERED).when(DeleteCodeRepository(code_repository="models")).then(deleted)
    restore = RestoreCodeRepository(code_repository=ref)
    given(REGISTERED, deleted).when(restore).then(NewEvent(MODELS, CodeRepositoryRestored()))
    given(REGISTERED).when(restore).then(NotDeleted(MODELS))


@pytest.mark.parametrize(
    "url", ["https://token@example.org/x", "https://ada:secret@example.org/x", "ftp://example.org", "example", ""]
)
def test_an_address_with_credentials_or_of_another_kind_is_refused(url: str) -> None:
    body = msgspec.json.encode({"name": "models", "provider": "git", "url": url})
    with pytest.raises(msgspec.ValidationError, match="url"):
        msgspec.json.decode(body, type=RegisterCodeRepository)


@pytest.mark.parametrize("url", [URL, "ssh://git@example.org/team/models", "http://10.0.0.7:3000/x.git"])
def test_ordinary_addresses_are_accepted(url: str) -> None:
    body = msgspec.json.encode({"name": "models", "provider": "git", "url": url})
    assert msgspec.json.decode(body, type=RegisterCodeRepository).url == url
