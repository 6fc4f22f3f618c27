"""What the clients asked and were told. From it follows what the ledger must hold: the auditor of the workload.

An answer that contradicts an earlier one, or that no right system gives, is a finding at once; everything else is
compared with the recorded history by `checks.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

Document = dict[str, Any]

REFUSALS: dict[str, frozenset[str]] = {
    "register-pipeline": frozenset({"name_taken"}),
    "update-pipeline": frozenset({"name_taken", "not_found", "stale_version"}),
    "delete-pipeline": frozenset({"not_found", "stale_version"}),
    "restore-pipeline": frozenset({"name_taken", "not_deleted", "stale_version"}),
    "register-model-version": frozenset(),
    "promote-model-version": frozenset({"stage_taken", "stale_version"}),
    "log-metadata": frozenset(),
    "record-rollback": frozenset({"plan_outdated", "name_taken", "nothing_to_roll_back", "not_found", "not_deleted"}),
}
"""What a command of the workload may be refused for; one that is not named here is never refused."""

REUSED = "command_id_reused"


class Asked(NamedTuple):
    """One command as its client makes it."""

    workspace: str
    id: UUID
    name: str
    body: Document
    expected_version: int | None = None


class Refusal(NamedTuple):
    """A definite no. The sender knew of positions up to `known_before` when it asked; what came with it in one batch
    may be in its way too, also when nothing of the batch was recorded."""

    problem: Document
    known_before: int
    together: list[Asked]

    def names_a_companion(self, stream: str) -> bool:
        """Whether another command of the batch was about this stream."""
        return len(self.together) > 1 and any(
            stream.partition("/")[2] in asked.body.values() for asked in self.together
        )


@dataclass
class Told:
    """All that was said about one command. `is_open` while an attempt went unanswered: it may still be recorded."""

    asked: Asked
    receipts: list[Document] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    is_open: bool = False


class Seen(NamedTuple):
    """A list as of a moment, as it was first answered: entities with the fields that the model predicts."""

    position: int
    items: dict[str, tuple[str, str]]


class Model:
    """Everything that was asked and answered, and what was wrong with it."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, UUID], Told] = {}
        self.known: dict[str, int] = defaultdict(int)
        self.seen: dict[tuple[str, str], Seen] = {}
        self.findings: list[str] = []
        self.counts: dict[str, int] = defaultdict(int)

    def asking(self, commands: list[Asked]) -> int:
        """Notes an attempt; answers the newest position of the workspace that anybody was told before it."""
        for asked in commands:
            self.told.setdefault((asked.workspace, asked.id), Told(asked))
        self.counts["attempts"] += 1
        return self.known[commands[0].workspace]

    def accepted(self, asked: Asked, receipt: Document) -> None:
        """A receipt. It must say what every earlier one said."""
        told = self.told[asked.workspace, asked.id]
        if told.receipts and (was := essence(told.receipts[0])) != (now := essence(receipt)):
            self.find(f"{describe(asked)} was answered {was}, and when repeated {now}")
        told.receipts.append(receipt)
        self.counts["receipts"] += 1
        self.known[asked.workspace] = max(self.known[asked.workspace], receipt["position"], receipt["last_position"])

    def refused(self, asked: Asked, problem: Document, *, known_before: int, together: list[Asked]) -> None:
        """A definite refusal: it must be one that this command can meet."""
        told = self.told[asked.workspace, asked.id]
        told.refusals.append(Refusal(problem, known_before, together))
        self.counts["refusals"] += 1
        code = problem["code"]
        if code not in REFUSALS.get(asked.name, frozenset()) and code != "batch_aborted":
            self.find(f"{describe(asked)} was refused with {code}: {problem['detail']}")

    def unanswered(self, commands: list[Asked], why: str) -> None:
        """Whether these are recorded is not known until a repeat tells."""
        for asked in commands:
            self.told[asked.workspace, asked.id].is_open = True
        self.counts["unanswered"] += 1
        if "internal" in why:
            self.find(f"{describe(commands[0])} met a defect: {why}")

    def listed(self, workspace: str, moment: str, seen: Seen) -> None:
        """A list as of a moment: the same for ever."""
        first = self.seen.setdefault((workspace, moment), seen)
        self.counts["lists as of"] += 1
        if first != seen:
            self.find(f"{workspace} as of {moment} was {first}, and asked again {seen}")

    def find(self, what: str) -> None:
        """Something is wrong."""
        self.findings.append(what)


def essence(receipt: Document) -> Document:
    """What every receipt of one command has in common. One that changed nothing has no version of its own."""
    names = ("command_id", "kind", "id", "first_position", "last_position", "events")
    return {name: receipt[name] for name in names}


def describe(asked: Asked) -> str:
    return f"{asked.workspace} {asked.name} {asked.id} {asked.body}"
