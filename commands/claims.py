"""The claims that follow from events alone: every stream folded, each state asked what it holds."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from commands.registry import decider
from commands.sealing import stored_claim
from ledger.codec import decode_data
from ledger.erasure import Seal
from ledger.errors import MasterKeyMissing, SubjectKeyLost
from ledger.personal import is_personal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from uuid import UUID

    from ledger.erasure import MasterKey
    from ledger.postgres.copy_in import StoredEvent
    from ledger.values import StreamId


def derive(events: Iterable[StoredEvent], keys: StoredKeys) -> Iterator[tuple[str, StreamId]]:
    """The claims that streams hold after their events, which come stream by stream, each in its order.

    Raises UnknownEventType and BrokenHistory for streams that these deciders did not write, and KeyUnusable where
    people are known and the master key is not.
    """
    for stream, own in groupby(events, key=lambda event: event.stream):
        judge = decider(stream.kind)
        state: Any = None
        for event in own:
            seal = keys.seal(event) if is_personal(event.type) else None
            state = judge.evolve(state, decode_data(event.type, event.schema, event.data, seal))
        for key in judge.claims(state):
            yield stored_claim(keys, key), stream


class StoredKeys:
    """The keys of one workspace's people, as they were backed up."""

    def __init__(self, master_key: MasterKey | None, workspace_id: UUID, wrapped: Mapping[UUID, bytes | None]) -> None:
        self._master_key = master_key
        self._workspace_id = workspace_id
        self._wrapped = wrapped

    @property
    def master(self) -> MasterKey:
        """Raises MasterKeyMissing."""
        if self._master_key is None:
            raise MasterKeyMissing
        return self._master_key

    def seal(self, event: StoredEvent) -> Seal:
        """What opens an event. Raises SubjectKeyLost, MasterKeyMissing or MasterKeyWrong."""
        subject = event.stream.id
        if subject not in self._wrapped:
            raise SubjectKeyLost(subject)
        wrapped = self._wrapped[subject]
        key = None if wrapped is None else self.master.unwrap(wrapped, self._workspace_id, subject)
        return Seal(key, self._workspace_id, subject, event.event_id)
