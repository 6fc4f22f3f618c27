"""What a decision stands on: streams loaded and folded once, moved on in memory by each decided command.

At the end it says what the append must find unchanged (versions, guards) and which claims change hands. Claims
follow from states, so no decider takes or releases one by hand.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from commands.command import (
    NOTHING,
    Alias,
    Entity,
    Found,
    Fresh,
    Holder,
    LastClaim,
    Lookup,
    Rejection,
    child_key,
    name_key,
    number_key,
)
from commands.registry import decider
from commands.rejections import AmbiguousReference, EntityNotFound, NameTaken, UnknownAlias
from commands.sealing import stored_claim
from ledger.errors import ClaimTaken
from ledger.events.registry import parent_of
from ledger.personal import holds_personal
from ledger.values import StreamId, Version, new_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from ledger.envelope import NewEvent
    from ledger.postgres.read import LedgerReader

FOLDS_MAX = 10_000
ID_PREFIX = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}", re.IGNORECASE)
ID_HEX_DIGITS = 32
MATCHES_SHOWN = 5


class Fold(NamedTuple):
    """A stream folded up to a version."""

    state: Any
    version: Version


class FoldCache:
    """Folded streams of one process, newest used last. May be stale: the append checks every version."""

    def __init__(self, *, size_max: int = FOLDS_MAX) -> None:
        self._size_max = size_max
        self._folds: OrderedDict[tuple[UUID, StreamId], Fold] = OrderedDict()

    def get(self, workspace_id: UUID, stream: StreamId) -> Fold | None:
        fold = self._folds.get((workspace_id, stream))
        if fold is not None:
            self._folds.move_to_end((workspace_id, stream))
        return fold

    def put(self, workspace_id: UUID, stream: StreamId, fold: Fold) -> None:
        self._folds[workspace_id, stream] = fold
        self._folds.move_to_end((workspace_id, stream))
        if len(self._folds) > self._size_max:
            self._folds.popitem(last=False)


class _Step(NamedTuple):
    """What one command does to a working set."""

    folds: dict[StreamId, Fold]
    taken: dict[str, StreamId]
    released: dict[str, StreamId]
    versions: tuple[Version, ...]


class WorkingSet:
    """The streams and claims that one submission (a command or a batch) looks at. With `fresh`, nothing comes from the
    cache. With `unique_at_end`, claims are those of the whole submission: in the middle two may have the same."""

    def __init__(
        self,
        reader: LedgerReader,
        workspace_id: UUID,
        *,
        folds: FoldCache,
        fresh: bool,
        unique_at_end: bool = False,
        aliases: Collection[str] = (),
    ) -> None:
        self._reader = reader
        self._aliases = aliases
        self.workspace_id = workspace_id
        self._folds = folds
        self._fresh = fresh
        self._unique_at_end = unique_at_end
        self.loaded: dict[StreamId, Fold] = {}
        self.current: dict[StreamId, Fold] = {}
        self.guards: dict[str, str | None] = {}
        self._fenced: set[StreamId] = set()
        self._asked: dict[str, StreamId | None] = {}
        self._claims: dict[str, StreamId] = {}
        self._released: set[str] = set()
        self._found_free: dict[str, StreamId] = {}

    async def find(self, lookups: dict[str, Lookup]) -> dict[str, Found] | Rejection:
        """Answers every lookup, or says which required entity is missing."""
        found: dict[str, Found] = {}
        for name, lookup in lookups.items():
            answer = await self._find_one(lookup)
            if isinstance(answer, Rejection):
                return answer
            found[name] = answer
        return found

    async def advance(self, events: list[NewEvent]) -> tuple[Version, ...] | Rejection:
        """Moves the working set on as if one command's events were recorded; answers their versions.

        Refuses, changing nothing, if a claim that they take is held by another stream as far as this set knows; with
        `fresh` it asks the ledger, else the append will. Claims are looked at in the order of their keys, so that a
        stack's name (`stack:`) is refused before its use of a component (`stack_use:`). Raises ClaimTaken, so that
        everything is decided again, when an earlier command took what is only given up now.
        """
        step = self._step(events)
        if not self._unique_at_end:
            taken = await self._taken_by_others(step)
            if taken is not None:
                return taken
            for key, stream in step.taken.items():
                if key not in self._released and key not in step.released:
                    self._found_free.setdefault(key, stream)
        self.current |= step.folds
        for key in step.released:
            self._claims.pop(key, None)
        self._released = (self._released | step.released.keys()) - step.taken.keys()
        self._claims |= step.taken
        return step.versions

    async def _taken_by_others(self, step: _Step) -> NameTaken | None:
        for key, stream in step.released.items():
            if self._claims.get(key, stream) != stream:
                raise ClaimTaken(key, holder=stream)
        for key, stream in sorted(step.taken.items()):
            if key.startswith(tuple(self.guards)):
                continue  # chosen after the last claim under a guarded prefix: the append finds it stale, not taken
            holder = await self._holder(key) if self._fresh else self._claims.get(key)
            if holder not in (None, stream) and key not in step.released:
                return NameTaken(key, holder=holder)
        return None

    def _step(self, events: list[NewEvent]) -> _Step:
        """Where one command's events lead, from where the set stands."""
        folds: dict[StreamId, Fold] = {}
        taken: dict[str, StreamId] = {}
        released: dict[str, StreamId] = {}
        versions: list[Version] = []
        for new in events:
            before = folds.get(new.stream) or self.current.get(new.stream, Fold(None, 0))
            judge = decider(new.stream.kind)
            state = judge.evolve(before.state, new.event)
            folds[new.stream] = Fold(state, before.version + 1)
            versions.append(before.version + 1)
            held = judge.claims(before.state) if before.state is not None else set()
            holds = judge.claims(state)
            released |= dict.fromkeys(held - holds, new.stream)
            taken = {key: stream for key, stream in taken.items() if key not in held - holds}
            taken |= dict.fromkeys(holds - held, new.stream)
        return _Step(folds, taken, released, tuple(versions))

    def claims_changed(self) -> tuple[dict[str, StreamId], dict[str, StreamId]]:
        """(taken, released): how the claims of the changed streams differ from what was loaded.

        What one stream took and gave up again is in both: the append must find it free. Raises ClaimTaken when two
        of them hold the same in the end.
        """
        taken: dict[str, StreamId] = {}
        released: dict[str, StreamId] = {}
        for stream, fold in self.current.items():
            if fold is self.loaded.get(stream):
                continue
            old = self.loaded.get(stream, Fold(None, 0)).state
            judge = decider(stream.kind)
            held, holds = judge.claims(old) if old is not None else set(), judge.claims(fold.state)
            for key in holds - held:
                if key in taken:
                    raise ClaimTaken(key, holder=taken[key])
            # Stream by stream: what one takes while another of them goes on holding it is for the append to refuse.
            taken |= dict.fromkeys(holds - held, stream)
            released |= dict.fromkeys(held - holds, stream)
        for key, stream in self._found_free.items():
            if key not in taken and key not in released:
                taken[key] = released[key] = stream
        return self._as_stored(taken), self._as_stored(released)

    def expected(self) -> dict[StreamId, Version]:
        """The version of every stream that was looked at, unless only its existence mattered and nothing changed it."""
        return {
            stream: fold.version
            for stream, fold in self.loaded.items()
            if stream in self._fenced or self.current[stream] is not fold
        }

    def remember(self) -> None:
        """Puts the folds into the cache, once they are committed. What is known of a person is not kept."""
        for stream, fold in self.current.items():
            if not holds_personal(stream.kind):
                self._folds.put(self.workspace_id, stream, fold)

    async def load(self, stream: StreamId) -> Fold:
        """The stream's fold, from this working set, the cache or the ledger."""
        if stream in self.current:
            return self.current[stream]
        cached = None if self._fresh else self._folds.get(self.workspace_id, stream)
        fold = cached or await self._fold(stream)
        self.loaded[stream] = self.current[stream] = fold
        return fold

    async def _fold(self, stream: StreamId) -> Fold:
        state: Any = None
        evolve = decider(stream.kind).evolve
        events = await self._reader.read_stream(self.workspace_id, stream)
        for recorded in events:
            state = evolve(state, recorded.event)
        return Fold(state, len(events))

    async def _find_one(self, lookup: Lookup) -> Found | Rejection:
        match lookup:
            case Fresh():
                stream = StreamId(lookup.kind, lookup.id or new_id())
                fold = await self.load(stream) if lookup.id else self._brand_new(stream)
                self._fenced.add(stream)
                return Found(stream, fold.state, fold.version)
            case Entity():
                return await self._entity(lookup)
            case Holder():
                holder = await self._holder(lookup.key)
                return NOTHING if holder is None else await self._found(holder)
            case LastClaim():
                key = await self._last_claim(lookup.prefix)
                return Found(NOTHING.stream, None, 0, key)
            case Alias():
                return NOTHING if lookup.name in self._aliases else self._unknown(lookup)

    def _unknown(self, alias: Alias) -> Rejection:
        return UnknownAlias(alias=alias.name, known=sorted(self._aliases))

    def _brand_new(self, stream: StreamId) -> Fold:
        """A stream whose id was made a moment ago cannot be in the ledger: nothing to read."""
        self.loaded[stream] = self.current[stream] = Fold(None, 0)
        return self.loaded[stream]

    async def _found(self, stream: StreamId, *, fenced: bool = True) -> Found:
        fold = await self.load(stream)
        if fenced:
            self._fenced.add(stream)
        return Found(stream, fold.state, fold.version)

    async def _entity(self, lookup: Entity) -> Found | Rejection:
        stream = await self._resolve(lookup.kind, lookup.ref)
        if isinstance(stream, Rejection):
            return stream
        found = NOTHING if stream is None else await self._found(stream, fenced=not lookup.unfenced)
        absent = found.state is None or (getattr(found.state, "deleted", False) and not lookup.deleted_too)
        if not absent:
            return found
        return NOTHING if lookup.optional else EntityNotFound(lookup.kind, lookup.ref)

    async def _resolve(self, kind: str, ref: str) -> StreamId | Rejection | None:
        """An id, `parent@child`, a name, or an unambiguous prefix of an id, in this order."""
        try:
            return StreamId(kind, UUID(ref))
        except ValueError:
            parent, _, child = ref.rpartition("@")
        parent_kind = parent_of(kind)
        if parent and parent_kind:
            within = await self._resolve(parent_kind, parent)
            if not isinstance(within, StreamId):
                return within
            number = int(child) if child.isdecimal() and len(child) <= len("4294967295") else None
            key = child_key(kind, within.id, child) if number is None else number_key(kind, within.id, number)
            return await self._holder(key)
        holder = await self._holder(name_key(kind, ref))
        return holder or await self._by_id_prefix(kind, ref)

    async def _by_id_prefix(self, kind: str, ref: str) -> StreamId | Rejection | None:
        if not ID_PREFIX.fullmatch(ref):
            return None
        digits = ref.replace("-", "")[:ID_HEX_DIGITS]
        first, last = UUID(digits.ljust(ID_HEX_DIGITS, "0")), UUID(digits.ljust(ID_HEX_DIGITS, "f"))
        matches = await self._reader.streams_between(
            self.workspace_id, kind, first=first, last=last, limit=MATCHES_SHOWN
        )
        if len(matches) > 1:
            return AmbiguousReference(kind, ref, matches=[match.id for match in matches])
        return matches[0] if matches else None

    async def _holder(self, key: str) -> StreamId | None:
        """Asks the ledger once: a name that was free when it was looked up is not taken when it is claimed, or what
        is made when missing would be refused instead of found by the next attempt."""
        if key in self._claims:
            return self._claims[key]
        if key in self._released:
            return None
        if key not in self._asked:
            self._asked[key] = await self._reader.holder(self.workspace_id, self._stored(key))
        return self._asked[key]

    def _as_stored(self, claims: dict[str, StreamId]) -> dict[str, StreamId]:
        return {self._stored(key): stream for key, stream in sorted(claims.items())}

    def _stored(self, key: str) -> str:
        return stored_claim(self._reader.keys, key)

    async def _last_claim(self, prefix: str) -> str | None:
        """The last key under the prefix as this working set leaves it; the guard is on what the ledger holds."""
        if prefix not in self.guards:
            self.guards[prefix] = await self._reader.last_claim(self.workspace_id, prefix)
        recorded = self.guards[prefix]
        while recorded in self._released:
            recorded = await self._reader.last_claim(self.workspace_id, prefix, before=recorded)
        here = [key for key in self._claims if key.startswith(prefix)]
        return max([*here, recorded or ""]) or None
