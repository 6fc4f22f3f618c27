"""References: an entity by its name, its id, the beginning of its id, or `parent@version`."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING
from uuid import UUID

from ledger.events.registry import aggregates, parent_of
from projections.errors import AmbiguousReference, EntityNotFound
from projections.filters import Filter
from projections.pages import ID, Order
from projections.registry import entity_table, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from projections.moments import Moment
    from projections.reading import Reading
    from projections.table import Column, Table

MATCHES_MAX = 5
SUGGESTED_FROM_MAX = 500
SUGGESTIONS_MAX = 3
LATEST = "latest"

_PREFIX = re.compile(r"[0-9a-f]{8}[0-9a-f-]*", re.IGNORECASE)


class References:
    """Finds the one entity that a reference names at a moment."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def resolve(self, workspace_id: UUID, name: str, ref: str, *, moment: Moment) -> UUID:
        """Raises EntityNotFound or AmbiguousReference. What is deleted at the moment is not found."""
        declared = table(name)
        found = await self._candidates(workspace_id, declared, ref, moment)
        if len(found) > 1:
            raise AmbiguousReference(declared.kind, ref, matches=found)
        if not found:
            suggestions = await self._suggestions(workspace_id, declared, ref, moment)
            raise EntityNotFound(declared.kind, ref, suggestions=suggestions)
        return found[0]

    async def resolve_past(self, workspace_id: UUID, name: str, ref: str, *, moment: Moment) -> UUID:
        """Like `resolve`, but an id may be of an entity that is deleted by then, as may a name."""
        declared = table(name)
        id_ = as_id(ref)
        if id_ is not None:
            return id_
        try:
            return await self.resolve(workspace_id, name, ref, moment=moment)
        except EntityNotFound:
            last = await self._last_with_name(workspace_id, declared, ref, moment)
            if last is None:
                raise
            return last

    async def _candidates(self, workspace_id: UUID, declared: Table, ref: str, moment: Moment) -> list[UUID]:
        id_ = as_id(ref)
        if id_ is not None:
            return await self._ids(workspace_id, declared, moment, [equal(ID, id_)])
        found: list[UUID] = []
        for column in _referring(declared):
            found = found or await self._ids(workspace_id, declared, moment, [equal(column, ref)])
        if not found and "@" in ref:
            found = await self._versions(workspace_id, declared, ref, moment)
        if not found and _PREFIX.fullmatch(ref):
            found = await self._ids(workspace_id, declared, moment, _with_prefix(ref))
        return found

    async def _versions(self, workspace_id: UUID, declared: Table, ref: str, moment: Moment) -> list[UUID]:
        """`parent@3`, `parent@latest`, and `parent@production` where versions have a stage."""
        parent_kind = parent_of(declared.kind) if declared.kind in aggregates() else None
        if parent_kind is None:
            return []
        parent_ref, _, which = ref.rpartition("@")
        parents = await self._candidates(workspace_id, entity_table(parent_kind), parent_ref, moment)
        if len(parents) != 1:
            return parents and []
        of_parent = equal(declared.by_name[f"{parent_kind}_id"], parents[0])
        number = declared.by_name["number"]
        if which == LATEST:
            newest = Order(number, descending=True)
            return await self._ids(workspace_id, declared, moment, [of_parent], order=newest, limit=1)
        if which.isascii() and which.isdigit():
            return await self._ids(workspace_id, declared, moment, [of_parent, equal(number, int(which))])
        if "stage" in declared.by_name:
            in_stage = equal(declared.by_name["stage"], which)
            return await self._ids(workspace_id, declared, moment, [of_parent, in_stage])
        return []

    async def _ids(
        self,
        workspace_id: UUID,
        declared: Table,
        moment: Moment,
        filters: Sequence[Filter],
        **page: Any,
    ) -> list[UUID]:
        rows = await self._reading.page(
            workspace_id,
            declared.name,
            moment=moment,
            filters=filters,
            columns=[],
            **{"limit": MATCHES_MAX, **page},
        )
        return [row["id"] for row in rows]

    async def _last_with_name(self, workspace_id: UUID, declared: Table, ref: str, moment: Moment) -> UUID | None:
        """The newest of the deleted entities with this name."""
        if "name" not in declared.by_name or declared.append_only:
            return None
        named = [equal(declared.by_name["name"], ref)]
        found = await self._ids(workspace_id, declared, moment, named, limit=1, deleted=True)
        return found[0] if found else None

    async def _suggestions(self, workspace_id: UUID, declared: Table, ref: str, moment: Moment) -> list[str]:
        if "name" not in declared.by_name:
            return []
        rows = await self._reading.page(
            workspace_id,
            declared.name,
            moment=moment,
            columns=[declared.by_name["name"]],
            limit=SUGGESTED_FROM_MAX,
        )
        names = sorted({row["name"] for row in rows})
        return difflib.get_close_matches(ref, names, n=SUGGESTIONS_MAX)


def _referring(declared: Table) -> list[Column]:
    return [declared.by_name[name] for name in declared.referred_by if name in declared.by_name]


def as_id(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None


def equal(column: Column, value: object) -> Filter:
    return Filter(column, (), "equals", negated=False, value=value)


def _with_prefix(ref: str) -> list[Filter]:
    digits = ref.replace("-", "").lower()[:32]
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    return [Filter(ID, (), "gte", negated=False, value=first), Filter(ID, (), "lte", negated=False, value=last)]
