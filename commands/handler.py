"""The command handler: authorise, load, decide, append, answer. The only writer of events.

Commands are idempotent by their id, also across crashes and races. Between load and append the versions of all
streams that were looked at are fenced, so a decision on stale state never commits: it is taken again, a bounded
number of times.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from commands.command import Command, Found, Rejection, name_key
from commands.registry import command_types, is_control
from commands.rejections import (
    BatchAborted,
    BatchTooLarge,
    CommandIdReused,
    ConcurrentChange,
    Forbidden,
    NameTaken,
    StaleVersion,
    StreamFull,
    WrongLedger,
)
from commands.sealing import Sealing, stored_hash
from commands.submission import BATCH_MAX, EventRef, Receipt, Submission
from commands.working_set import FoldCache, WorkingSet
from ledger import errors
from ledger.appending import CommandToAppend, EventToAppend, Unit
from ledger.placement import MAIN
from ledger.values import CONTROL_WORKSPACE, StreamId, Version, new_id, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from commands.permissions import Permissions
    from ledger.appending import Appended
    from ledger.postgres.append import Appender
    from ledger.postgres.read import LedgerReader, RecordedCommand

ATTEMPTS_MAX = 8
LOOKUP_ROUNDS_MAX = 5
"""How often a decider may ask for more after it saw what was found."""

CONTROL_NAME = "control"


class Caller(NamedTuple):
    """On whose behalf a submission is made, and what it belongs to."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None


class _Decided(NamedTuple):
    """A command that was accepted on the working set and awaits the append."""

    submission: Submission
    target: StreamId
    version: Version
    events: tuple[EventToAppend, ...]
    versions: tuple[Version, ...]


class CommandHandler:
    """Handles the commands of every workspace on one PostgreSQL. Safe to share between tasks."""

    def __init__(
        self,
        *,
        reader: LedgerReader,
        appender: Appender,
        permissions: Permissions,
        aliases: Collection[str] = (MAIN,),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._reader = reader
        self._appender = appender
        self._permissions = permissions
        self._aliases = aliases
        self._clock = clock
        self._folds = FoldCache()
        self._workspaces: dict[str, UUID] = {CONTROL_NAME: CONTROL_WORKSPACE}
        self._contended: WeakValueDictionary[tuple[UUID, str], asyncio.Lock] = WeakValueDictionary()

    async def workspace_id(self, ref: str) -> UUID | None:
        """The workspace of that name or id, or None. `control` is the control ledger."""
        if ref in self._workspaces:
            return self._workspaces[ref]
        try:
            stream: StreamId | None = StreamId("workspace", UUID(ref))
        except ValueError:
            stream = await self._reader.holder(CONTROL_WORKSPACE, name_key("workspace", ref))
        if stream is None or not await self._reader.read_stream(CONTROL_WORKSPACE, stream):
            return None
        self._workspaces[ref] = stream.id
        return stream.id

    async def submit(
        self,
        workspace_id: UUID,
        submissions: Sequence[Submission],
        *,
        actor: str,
        atomic: bool = True,
        unique_at_end: bool = False,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> list[Receipt | Rejection]:
        """Decides commands in order, each seeing the ones before it, and records them in one transaction.

        Answers one receipt or rejection per command. With `atomic`, one rejection refuses all of them (the others
        answer BatchAborted). With `unique_at_end`, names may change hands in any order. A first attempt may decide on
        cached folds; whatever it would refuse is decided again on what the ledger holds. Raises LedgerBusy,
        LedgerUnavailable, and WorkspaceElsewhere (nothing was recorded here).
        """
        if len(submissions) > BATCH_MAX:
            return [BatchTooLarge(len(submissions), size_max=BATCH_MAX)] * len(submissions)
        caller = Caller(actor, correlation_id or new_id(), causation_id)
        turn: AbstractAsyncContextManager[object] = nullcontext()
        last: Exception | None = None
        for attempt in range(ATTEMPTS_MAX):
            try:
                async with turn:
                    answers = await self._attempt(
                        workspace_id,
                        submissions,
                        caller,
                        atomic=atomic,
                        unique_at_end=unique_at_end,
                        fresh=attempt > 0,
                    )
            except errors.StreamTooLong as full:
                return [StreamFull(full.stream, length_max=full.length_max)] * len(submissions)
            except errors.WorkspaceElsewhere:
                raise  # this handler has nothing more to say of it; the caller asks where it lives now
            except errors.AppendRefused as refusal:
                if unique_at_end and attempt > 0 and isinstance(refusal, errors.ClaimTaken):
                    return [NameTaken(refusal.key, holder=refusal.holder)] * len(submissions)
                last = refusal
                turn = self._turn(workspace_id, refusal)
            else:
                if answers is not None:
                    return answers
        return [ConcurrentChange(str(last), attempts=ATTEMPTS_MAX)] * len(submissions)

    def _turn(self, workspace_id: UUID, refusal: errors.AppendRefused) -> asyncio.Lock:
        """The lock of what the refused attempt collided on: in this process the contenders go on one by one."""
        match refusal:
            case errors.VersionConflict():
                what = str(refusal.stream)
            case errors.ClaimTaken():
                what = refusal.key
            case errors.GuardFailed():
                what = refusal.prefix
            case _:
                what = str(refusal)
        return self._contended.setdefault((workspace_id, what), asyncio.Lock())

    async def _attempt(
        self,
        workspace_id: UUID,
        submissions: Sequence[Submission],
        caller: Caller,
        *,
        atomic: bool,
        unique_at_end: bool,
        fresh: bool,
    ) -> list[Receipt | Rejection] | None:
        """One pass; None when it has to be decided again on fresh state. Raises AppendRefused."""
        ids = [submission.command_id for submission in submissions]
        recorded = await self._reader.recorded_commands(workspace_id, ids) if fresh else {}
        working = WorkingSet(
            self._reader,
            workspace_id,
            folds=self._folds,
            fresh=fresh,
            unique_at_end=unique_at_end,
            aliases=self._aliases,
        )
        sealing = Sealing(self._reader.keys, workspace_id)
        answers: list[Receipt | Rejection | None] = [None] * len(submissions)
        decided: dict[int, _Decided] = {}
        for index, submission in enumerate(submissions):
            if submission.command_id in recorded:
                answers[index] = await self._repeat(working, submission, recorded[submission.command_id])
                continue
            outcome = (
                CommandIdReused(submission.command_id)
                if submission.command_id in ids[:index]
                else await self._decide(working, sealing, submission, caller)
            )
            if isinstance(outcome, _Decided):
                decided[index] = outcome
            else:
                answers[index] = outcome
        refused = any(isinstance(answer, Rejection) for answer in answers)
        if refused and (not fresh or await self._recorded_since(workspace_id, ids, recorded)):
            return None
        if refused and atomic:
            return _aborted(answers)
        if decided:
            unit = self._unit(list(decided.values()), caller, working, sealing)
            appended = await self._appender.append(unit)
            working.remember()
            _answer(answers, decided, appended)
        return [answer for answer in answers if answer is not None]

    async def _recorded_since(
        self, workspace_id: UUID, ids: Sequence[UUID], recorded: Mapping[UUID, RecordedCommand]
    ) -> bool:
        """Whether a twin of one of these commands was recorded after the look for it: what refused the command may be
        its own effect."""
        return recorded.keys() != (await self._reader.recorded_commands(workspace_id, ids)).keys()

    async def _decide(
        self, working: WorkingSet, sealing: Sealing, submission: Submission, caller: Caller
    ) -> _Decided | Rejection:
        workspace_id = working.workspace_id
        _, judge = command_types()[submission.name]
        if is_control(judge.KIND) != (workspace_id == CONTROL_WORKSPACE):
            return WrongLedger(
                command=submission.name, belongs_to=CONTROL_NAME if is_control(judge.KIND) else "a workspace"
            )
        permission = submission.command.permission
        if not await self._permissions.allows(caller.actor, permission, workspace_id):
            return Forbidden(caller.actor, permission=permission)
        found = await _found(working, judge, submission.command)
        if isinstance(found, Rejection):
            return found
        target = found[judge.KIND]
        if submission.expected_version is not None and submission.expected_version != target.version:
            return StaleVersion(target.stream, expected=submission.expected_version, actual=target.version)
        decision = judge.decide(submission.command, found)
        if isinstance(decision, Rejection):
            return decision
        encoded = await sealing.encoded(decision)
        if isinstance(encoded, Rejection):
            return encoded
        versions = await working.advance(decision)
        if isinstance(versions, Rejection):
            return versions
        return _Decided(submission, target.stream, working.current[target.stream].version, encoded, versions)

    def _unit(self, decided: list[_Decided], caller: Caller, working: WorkingSet, sealing: Sealing) -> Unit:
        take, release = working.claims_changed()
        now = self._clock()
        return Unit(
            workspace_id=working.workspace_id,
            commands=tuple(
                CommandToAppend(
                    command_id=item.submission.command_id,
                    request_hash=self._stored_hash(item.submission),
                    target=item.target,
                    events=item.events,
                    occurred_at=item.submission.occurred_at or now,
                )
                for item in decided
            ),
            expected=working.expected(),
            actor=caller.actor,
            correlation_id=caller.correlation_id,
            causation_id=caller.causation_id,
            take=take,
            release=release,
            guards=working.guards,
            subject_keys=sealing.changes,
        )

    def _stored_hash(self, submission: Submission) -> bytes:
        _, judge = command_types()[submission.name]
        return stored_hash(self._reader.keys, judge.KIND, submission.request_hash)

    async def _repeat(
        self, working: WorkingSet, submission: Submission, recorded: RecordedCommand
    ) -> Receipt | Rejection:
        """The first answer of a command that is in the ledger already."""
        if recorded.request_hash != self._stored_hash(submission):
            return CommandIdReused(submission.command_id)
        events = await self._reader.read(
            working.workspace_id, after=recorded.first_position - 1, until=recorded.last_position
        )
        references = [EventRef(event.position, event.type, str(event.stream), event.version) for event in events]
        versions = [event.version for event in events if event.stream == recorded.stream]
        version = versions[-1] if versions else (await working.load(recorded.stream)).version
        return Receipt(
            command_id=submission.command_id,
            kind=recorded.stream.kind,
            id=recorded.stream.id,
            version=version,
            first_position=recorded.first_position,
            last_position=recorded.last_position,
            position=recorded.last_position,
            repeated=True,
            events=references,
        )


async def _found(working: WorkingSet, judge: Any, command: Command) -> dict[str, Found] | Rejection:
    """Answers the decider's lookups, asking again while new ones follow from what was found."""
    found: dict[str, Found] = {}
    for _ in range(LOOKUP_ROUNDS_MAX):
        lookups = {name: lookup for name, lookup in judge.lookups(command, found).items() if name not in found}
        if not lookups:
            return found
        answers = await working.find(lookups)
        if isinstance(answers, Rejection):
            return answers
        found |= answers
    raise TypeError(f"the lookups of {type(command).__name__} never come to an end")


def _aborted(answers: list[Receipt | Rejection | None]) -> list[Receipt | Rejection]:
    """An atomic batch with a refused command: nothing of it was recorded."""
    refused = next(index for index, answer in enumerate(answers) if isinstance(answer, Rejection))
    return [answer if answer is not None else BatchAborted(refused) for answer in answers]


def _answer(answers: list[Receipt | Rejection | None], decided: dict[int, _Decided], appended: Appended) -> None:
    """Fills in the receipts of what was recorded."""
    for (index, item), (first, last) in zip(decided.items(), appended.positions, strict=True):
        answers[index] = Receipt(
            command_id=item.submission.command_id,
            kind=item.target.kind,
            id=item.target.id,
            version=item.version,
            first_position=first,
            last_position=last,
            position=appended.head,
            repeated=False,
            events=[
                EventRef(first + at, event.type, str(event.stream), version)
                for at, (event, version) in enumerate(zip(item.events, item.versions, strict=True))
            ],
        )
