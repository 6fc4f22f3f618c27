"""The claims that follow from events alone: every stream folded, each state asked what it holds."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from commands.registry import decider
from ledger.codec import decode_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.postgres.copy_in import StoredEvent
    from ledger.values import StreamId


def derive(events: Iterable[StoredEvent]) -> Iterator[tuple[str, StreamId]]:
    """The claims that streams hold after their events, which come stream by stream, each in its order.

    Raises UnknownEventType and BrokenHistory for streams that these deciders did not write.
    """
    for stream, own in groupby(events, key=lambda event: event.stream):
        judge = decider(stream.kind)
        state: Any = None
        for event in own:
            state = judge.evolve(state, decode_data(event.type, event.schema, event.data))
        for key in judge.claims(state):
            yield key, stream
