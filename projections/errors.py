"""Why a projection stops or a query is refused. Each is a type with fields; its message is built here, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from ledger.values import Position


class ProjectionError(Exception):
    """Root of everything the read side raises on purpose."""

    code: ClassVar[str]


class ProjectionStopped(ProjectionError):
    """An event that a projection cannot apply. The checkpoint stays before it; nothing is skipped."""

    code = "projection_stopped"

    def __init__(self, workspace_id: UUID, position: Position, *, type_name: str, cause: str) -> None:
        self.workspace_id, self.position, self.type_name, self.cause = workspace_id, position, type_name, cause
        super().__init__(
            f"the projection of workspace {workspace_id} stopped before position {position} ({type_name}): {cause};"
            " fix the projection and start it again, nothing was skipped"
        )


class ProjectionGap(ProjectionError):
    """Events were offered that do not follow the checkpoint."""

    code = "projection_gap"

    def __init__(self, workspace_id: UUID, *, checkpoint: Position, first: Position) -> None:
        self.workspace_id, self.checkpoint, self.first = workspace_id, checkpoint, first
        super().__init__(
            f"workspace {workspace_id} is projected up to {checkpoint}, the events offered start at {first};"
            " read the missing ones from the ledger"
        )


class ProjectionBehind(ProjectionError):
    """The query tables did not reach the position that was asked for within the bounded wait."""

    code = "projection_behind"
    retry_after_seconds = 1

    def __init__(self, position: Position, *, checkpoint: Position) -> None:
        self.position, self.checkpoint = position, checkpoint
        super().__init__(
            f"the query tables are at position {checkpoint} and did not reach {position} in time; ask again"
        )


class ProjectionOutdated(ProjectionError):
    """The tables are not there yet, or are of another version of the program that this one cannot read."""

    code = "projection_outdated"
    retry_after_seconds = 2

    def __init__(self, workspace_id: UUID, tables: Iterable[str]) -> None:
        self.workspace_id, self.tables = workspace_id, sorted(tables)
        super().__init__(
            f"the query tables {', '.join(self.tables)} of workspace {workspace_id} are being built for this version of"
            " the program; ask again in a moment"
        )


class ProjectionNewer(ProjectionError):
    """A newer version of the program made the tables. An older one neither serves the workspace nor takes them back."""

    code = "projection_newer"

    def __init__(self, workspace_id: UUID, *, theirs: Mapping[str, int], ours: Mapping[str, int]) -> None:
        self.workspace_id, self.theirs, self.ours = workspace_id, dict(theirs), dict(ours)
        newer = ", ".join(f"{kind} {number}, here {ours.get(kind, 'none')}" for kind, number in sorted(theirs.items()))
        super().__init__(
            f"the query tables of workspace {workspace_id} belong to a newer version of the program ({newer});"
            " this one leaves them alone: stop it and run the newer one"
        )


class RebuildPending(ProjectionError):
    """A rebuild was ordered before and is not done yet."""

    code = "rebuild_pending"

    def __init__(self, workspace_id: UUID, tables: Iterable[str]) -> None:
        self.workspace_id, self.tables = workspace_id, sorted(tables)
        super().__init__(
            f"workspace {workspace_id} has a rebuild of {', '.join(self.tables)} under way;"
            " order another when it is done"
        )


class NothingProjected(ProjectionError):
    """There is nothing to rebuild."""

    code = "nothing_projected"

    def __init__(self, workspace_id: UUID) -> None:
        self.workspace_id = workspace_id
        super().__init__(f"workspace {workspace_id} has no query tables: no event of it was projected yet")


class SwapRefused(ProjectionError):
    """Questions that were being answered held the old tables for as long as the swap may wait."""

    code = "swap_refused"

    def __init__(self, workspace_id: UUID, *, attempts: int) -> None:
        self.workspace_id, self.attempts = workspace_id, attempts
        super().__init__(
            f"the rebuilt tables of workspace {workspace_id} could not take the place of the old ones, which were being"
            f" read at each of {attempts} attempts; the rebuild is tried again"
        )


class BrokenFold(ProjectionError):
    """A projection did what its table does not allow: a broken invariant, or a bug in the projection."""

    code = "broken_fold"


class QueryRefused(ProjectionError):
    """The question itself is at fault; asking again does not help."""


class UnknownTable(QueryRefused):
    code = "unknown_table"

    def __init__(self, table: str, allowed: Iterable[str]) -> None:
        self.table, self.allowed = table, sorted(allowed)
        super().__init__(f"there is no table {table!r}; there are {', '.join(self.allowed)}")


class UnknownProjection(QueryRefused):
    code = "unknown_projection"

    def __init__(self, name: str, allowed: Iterable[str]) -> None:
        self.name, self.allowed = name, sorted(set(allowed))
        super().__init__(f"there is no projection {name!r}; there are {', '.join(self.allowed)}")


class UnknownField(QueryRefused):
    code = "invalid_filter"

    def __init__(self, table: str, field: str, *, allowed: Iterable[str]) -> None:
        self.table, self.field, self.allowed = table, field, list(allowed)
        super().__init__(f"{table} has no field {field!r}; it has {', '.join(self.allowed)}")


class InvalidFilter(QueryRefused):
    code = "invalid_filter"

    def __init__(self, field: str, text: str, *, reason: str) -> None:
        self.field, self.text, self.reason = field, text, reason
        super().__init__(f"the filter {field}={text} is not valid: {reason}")


class InvalidCursor(QueryRefused):
    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("the cursor is not one that this query gave out; start again without it")


class InvalidMoment(QueryRefused):
    code = "invalid_moment"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(
            f"{text!r} is neither a position (a whole number) nor an RFC 3339 time such as 2026-11-23T20:00:00Z"
        )


class InvalidLimit(QueryRefused):
    code = "invalid_limit"

    def __init__(self, limit: int, *, limit_max: int) -> None:
        self.limit, self.limit_max = limit, limit_max
        super().__init__(f"{limit} is not a limit between 1 and {limit_max}")


class EntityNotFound(QueryRefused):
    """`suggestions` are names that look like the one asked for."""

    code = "not_found"

    def __init__(self, kind: str, ref: str, *, suggestions: Sequence[str] = ()) -> None:
        self.kind, self.ref, self.suggestions = kind, ref, list(suggestions)
        hint = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"there is no {kind} {ref!r}{hint}")


class AmbiguousReference(QueryRefused):
    code = "ambiguous_reference"

    def __init__(self, kind: str, ref: str, *, matches: Sequence[UUID]) -> None:
        self.kind, self.ref, self.matches = kind, ref, list(matches)
        super().__init__(
            f"{ref!r} names more than one {kind}: {', '.join(map(str, matches))}; use the id or more of it"
        )


class ErasedMeanwhile(ProjectionError):
    """A person was erased while tables were compared: one side may have been read before, the other one after."""

    code = "erased_meanwhile"

    def __init__(self, workspace_id: UUID) -> None:
        self.workspace_id = workspace_id
        super().__init__("a person was erased while the tables were compared; compare them again")
