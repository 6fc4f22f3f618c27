"""The outbox: commands go to a spool file at once and to the server in the background, in order, once.

Nothing here raises into the program that trains: what cannot be sent waits, what the server refuses is put aside with
its reason, and both are said once on standard error.
"""

from __future__ import annotations

import atexit
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everline import spool
from everline.config import spool_directory
from everline.errors import EverlineError, Refused, Unavailable
from everline.ids import new_id

if TYPE_CHECKING:
    from everline.config import Target
    from everline.spool import Entry, SpoolFile

BATCH_COMMANDS_MAX = 100
BATCH_BYTES_MAX = 1 << 20
BACKOFF_SECONDS = 0.2
BACKOFF_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 20.0
FLUSH_SECONDS_MAX = 5.0
"""How long the end of a run waits for its last commands."""

BLAMING_STATUSES = frozenset({400, 413, 422})
"""Refusals of a whole batch that are about its content: one of the commands is to blame. All others are about the
server or the workspace: the commands wait."""


class Sender:
    """Sends spool files. Answers how far it came; raises nothing but Unavailable and other EverlineErrors."""

    def __init__(self, target: Target, warn: Callable[[str], None]) -> None:
        from everline.calls import Place
        from everline.wire import Wire

        self._place = Place(target.workspace)
        self._wire = Wire(target.url, attempts_max=1, answer_seconds_max=ANSWER_SECONDS_MAX)
        self._warn = warn
        self._batch_max = BATCH_COMMANDS_MAX
        self.refused = 0

    def send_all(self, file: SpoolFile) -> int:
        """Sends everything that waits in a file; answers how many commands were answered. Raises EverlineError when
        the rest has to wait."""
        answered = 0
        while entries := file.waiting(count_max=self._batch_max, size_bytes_max=BATCH_BYTES_MAX):
            try:
                problems = self._exchange(entries)
            except Refused as error:
                if error.status not in BLAMING_STATUSES:
                    raise
                answered += self._narrow(file, entries, error)
            else:
                self._batch_max = BATCH_COMMANDS_MAX
                answered += self._settle(file, entries, problems)
        return answered

    def _exchange(self, entries: list[Entry]) -> list[Mapping[str, Any] | None]:
        """The problem of each command, None for the accepted ones."""
        from everline.calls import batch

        answers = self._wire.send(batch(self._place, [entry.command for entry in entries]))
        if len(answers) != len(entries):
            raise EverlineError(f"{self._wire.url} answered {len(answers)} of {len(entries)} commands")
        return [answer if isinstance(answer, dict) else None for answer in answers]

    def _settle(self, file: SpoolFile, entries: list[Entry], problems: list[Mapping[str, Any] | None]) -> int:
        """Acknowledges up to the first command that has to be sent again: what follows may depend on it."""
        settled = 0
        for entry, problem in zip(entries, problems, strict=True):
            if problem is not None and problem.get("retryable"):
                if settled:
                    file.acknowledge(entries[settled - 1])
                raise Unavailable(problem)
            if problem is not None:
                self._put_aside(file, entry, problem)
            settled += 1
        file.acknowledge(entries[-1])
        return settled

    def _narrow(self, file: SpoolFile, entries: list[Entry], error: Refused) -> int:
        """The batch as a whole is not understood: find the command that is to blame, and put that one aside."""
        if len(entries) > 1:
            self._batch_max = len(entries) // 2
            return 0
        self._put_aside(file, entries[0], error.problem)
        file.acknowledge(entries[0])
        return 1

    def _put_aside(self, file: SpoolFile, entry: Entry, problem: Mapping[str, Any]) -> None:
        path = file.refuse(entry, problem)
        self.refused += 1
        if self.refused == 1:
            why = problem.get("detail") or problem.get("title")
            self._warn(f"the server refused {entry.command['name']}: {why}. It is kept in {path}")

    def close(self) -> None:
        """Closes the connection."""
        self._wire.close()


class Outbox:
    """The commands of this process for one workspace. `put` never blocks on the network and never raises."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._file: SpoolFile | None = None
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._hurry = threading.Event()
        self._state = threading.Condition()
        self._failing: EverlineError | None = None
        self._thread: threading.Thread | None = None
        self._warned: set[str] = set()

    def put(self, name: str, body: Mapping[str, Any], *, command_id: str | None = None) -> str:
        """Records a command and answers its id."""
        command_id = command_id or new_id()
        command = {"name": name, "body": body, "id": command_id, "occurred_at": datetime.now(UTC).isoformat()}
        try:
            self._append(command)
        except (OSError, spool.SpoolFull) as error:
            self._warn("spool", f"{name} could not be kept for sending and is lost: {error}")
        self._start()
        self._something.set()
        return command_id

    def _append(self, command: Mapping[str, Any]) -> None:
        with self._lock:
            if self._file is None or not self._file.append(command):
                self._file = spool.new_file(self.target)
                self._file.append(command)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="everline-sender", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        """Sends for as long as the process lives."""
        sender = Sender(self.target, lambda text: self._warn("refused", text))
        failures = 0
        adopted = False
        while True:
            self._something.wait()
            self._something.clear()
            try:
                self._send_own(sender)
                self._note(None)
                if not adopted:
                    send_leftovers(spool.directory_of(self.target), sender)
                    adopted = True
                failures = 0
            except Exception as error:  # whatever it is, the commands are safe in their file and the program goes on
                failures += 1
                failure = error if isinstance(error, EverlineError) else EverlineError(repr(error))
                self._note(failure)
                if not failure.retryable:
                    self._warn("stuck", f"{failure.message}. Commands wait in {spool.directory_of(self.target)}")
                self._something.set()
                self._hurry.wait(backoff_seconds(failures))
                self._hurry.clear()

    def _send_own(self, sender: Sender) -> None:
        file = self._file
        if file is not None and not file.drained:
            sender.send_all(file)

    def _note(self, failure: EverlineError | None) -> None:
        with self._state:
            self._failing = failure
            self._state.notify_all()

    @property
    def drained(self) -> bool:
        """Every command was answered."""
        return self._file is None or self._file.drained

    def flush(self, seconds_max: float = FLUSH_SECONDS_MAX) -> bool:
        """Waits until every command was answered; not longer than that, and not while the server is away. Says on
        standard error when something stays behind."""
        with self._state:
            if self._failing is not None and not self.drained:
                self._failing = None
                self._hurry.set()
            self._state.wait_for(lambda: self.drained or self._failing is not None, timeout=seconds_max)
        if self.drained:
            return True
        why = f": {self._failing.message}" if self._failing is not None else ""
        self._warn(
            "behind",
            f"{self.target.url} has not answered yet{why}. What happened is kept and sent later by this process or the"
            " next one; to send it yourself: everline sync",
        )
        return False

    def abandon(self) -> None:
        """Leaves everything to the process that this one was forked from."""
        if self._file is not None:
            self._file.abandon()

    def _warn(self, about: str, text: str) -> None:
        """Each kind of trouble is said once."""
        if about not in self._warned:
            self._warned.add(about)
            warn(text)


def send_leftovers(directory: Path, sender: Sender) -> int:
    """Sends what processes that ended have left for one workspace. Raises EverlineError."""
    total = 0
    for path in spool.leftovers(directory):
        file = spool.adopt(path)
        if file is None:
            continue
        try:
            total += sender.send_all(file)
        except ValueError as error:
            warn(f"{file.put_away()} cannot be read, nothing more of it is sent: {error}")
        finally:
            file.abandon()
    return total


def sync(url: str | None = None, workspace: str | None = None) -> int:
    """Sends what processes that ended could not send, to the server that it was meant for; answers how many commands
    were answered. With `url` and `workspace`, only what is for them. Raises Unavailable when a server is away."""
    total = 0
    root = spool_directory()
    for directory in sorted(root.iterdir()) if root.is_dir() else []:
        target = next(filter(None, map(spool.target_of, spool.leftovers(directory))), None)
        if target is None or (url and target.url != url.rstrip("/")) or (workspace and target.workspace != workspace):
            continue
        sender = Sender(target, warn)
        try:
            total += send_leftovers(directory, sender)
        finally:
            sender.close()
    return total


_outboxes: dict[tuple[str, str], Outbox] = {}
_opening = threading.Lock()


def outbox_for(target: Target) -> Outbox:
    """This process's outbox for a workspace."""
    with _opening:
        return _outboxes.setdefault((target.url, target.workspace), Outbox(target))


def flush_all() -> None:
    """At the end of the process: whatever is left gets a moment to be sent."""
    for outbox in _outboxes.values():
        if not outbox.drained:
            outbox.flush()


def backoff_seconds(failures: int) -> float:
    """Exponential with jitter, so that many processes do not come back at once."""
    return random.uniform(0.5, 1.0) * min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))  # noqa: S311 - no secret


def warn(text: str) -> None:
    """A line for the person, on the real standard error."""
    print(f"everline: {text}", file=sys.__stderr__ or sys.stderr)


def forget() -> None:
    """In a forked process: the files, the threads and the locks are the parent's."""
    global _opening  # noqa: PLW0603 - the lock may have been held while the process forked
    for outbox in _outboxes.values():
        outbox.abandon()
    _outboxes.clear()
    _opening = threading.Lock()


atexit.register(flush_all)
os.register_at_fork(after_in_child=forget)
