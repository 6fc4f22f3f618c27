"""Events on their way into the ledger: encoded, and where they hold personal fields sealed with their person's key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from commands.rejections import EventTooLarge, TextNotStorable
from ledger import errors
from ledger.appending import EventToAppend
from ledger.codec import encode_data
from ledger.erasure import Seal
from ledger.personal import holds_personal, is_personal
from ledger.values import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands.command import Rejection
    from ledger.envelope import NewEvent
    from ledger.erasure import MasterKey
    from ledger.postgres.subject_keys import SubjectKeys

REQUEST_HASH_LABEL = b"request\0"
CLAIM_HASH_LABEL = b"claim\0"


class Sealing:
    """The keys that one submission (a command or a batch) uses, makes and destroys. `changes` is what the append has
    to do to them in its transaction; keys are gone from memory with the submission."""

    def __init__(self, keys: SubjectKeys, workspace_id: UUID) -> None:
        self._keys = keys
        self._workspace_id = workspace_id
        self._opened: dict[UUID, bytes | None] = {}
        self.changes: dict[UUID, bytes | None] = {}

    async def encoded(self, events: Sequence[NewEvent]) -> tuple[EventToAppend, ...] | Rejection:
        """The events as bytes; or why they cannot be stored. Raises MasterKeyMissing or MasterKeyWrong."""
        try:
            return tuple([await self._encoded(new) for new in events])
        except errors.EventTooLarge as error:
            return EventTooLarge(error.type_name, size_bytes=error.size_bytes, size_bytes_max=error.size_bytes_max)
        except errors.UnstorableText as error:
            return TextNotStorable(error.type_name)

    async def _encoded(self, new: NewEvent) -> EventToAppend:
        event, event_id, seal = new.event, new_id(), None
        if is_personal(event.type):
            subject = new.stream.id
            seal = Seal(await self._key(subject), self._workspace_id, subject, event_id)
        if event.erases:
            self._opened[new.stream.id] = self.changes[new.stream.id] = None
        return EventToAppend(new.stream, event_id, event.type, event.schema, encode_data(event, seal))

    async def _key(self, subject: UUID) -> bytes | None:
        if subject not in self._opened:
            self._opened |= await self._keys.find(self._workspace_id, [subject])
        if subject not in self._opened:
            self._opened[subject], self.changes[subject] = self._keys.master.new_key(self._workspace_id, subject)
        return self._opened[subject]


class Keyed(Protocol):
    """What knows the master key, or raises MasterKeyMissing."""

    @property
    def master(self) -> MasterKey: ...


def stored_claim(keys: Keyed, key: str) -> str:
    """A claim key as the ledger holds it: the names and addresses of people only as keyed hashes."""
    kind = key.partition(":")[0]
    if not holds_personal(kind):
        return key
    return f"{kind}:{keys.master.keyed_hash(CLAIM_HASH_LABEL + key.encode()).hex()}"


def stored_hash(keys: Keyed, kind: str, request_hash: bytes) -> bytes:
    """A request's hash as the ledger holds it: with a plain one, what was said of a person could be guessed."""
    if not holds_personal(kind):
        return request_hash
    return keys.master.keyed_hash(REQUEST_HASH_LABEL + request_hash)
