"""Rows in memory: what a batch of events does to the tables, folded before anything is written.

Every change closes the version before it; changes at one position make one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ledger.personal import ERASED
from projections.errors import BrokenFold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from uuid import UUID

    from ledger.envelope import Event, RecordedEvent
    from ledger.values import Position
    from projections.table import Row, Table


class Closed(NamedTuple):
    """A version that ended at a position, and the version that followed."""

    row: Row
    to_position: Position
    following: Row


class Rows:
    """The rows that a batch needs, and what became of them. `begin` names the event that causes the next changes.

    Rows are kept by the integer of their id, which hashes faster than a UUID.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._current: dict[str, dict[int, Row]] = {name: {} for name in tables}
        self._stored: dict[str, set[int]] = {name: set() for name in tables}
        self._changed: dict[str, dict[int, None]] = {name: {} for name in tables}
        self._closed: dict[str, list[Closed]] = {name: [] for name in tables}
        self._erased: dict[str, dict[UUID, None]] = {name: {} for name in tables}
        self._event: RecordedEvent

    def load(self, table: str, rows: Iterable[Row]) -> None:
        """Rows as they are stored."""
        for row in rows:
            key = row["id"].int
            self._current[table][key] = row
            self._stored[table].add(key)

    def follow(self, previous: Rows, wanted: Mapping[str, Iterable[UUID]]) -> None:
        """Takes over what the batch before made of rows, which need not be stored yet."""
        for table, ids in wanted.items():
            loading = [column for column in self._tables[table].columns if column.loads]
            for row in filter(None, (previous.find(table, id_) for id_ in ids)):
                self.load(table, [row])
                for column in loading:
                    self.load(column.loads, [previous.get(column.loads, row[column.name])])
        for table, rows in self._current.items():
            newer = previous._current[table]
            rows.update((key, newer[key]) for key in rows.keys() & newer.keys())

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables that are folded, by name."""
        return self._tables

    def holds(self, table: str) -> bool:
        """Whether this table is folded at all."""
        return table in self._tables

    def begin(self, event: RecordedEvent) -> None:
        self._event = event

    def get(self, table: str, id_: UUID) -> Row:
        """A row, deleted or not. A missing one is a broken invariant: what events refer to exists."""
        row = self._current[table].get(id_.int)
        if row is None:
            raise BrokenFold(f"{table} has no row {id_}")
        return row

    def find(self, table: str, id_: UUID) -> Row | None:
        return self._current[table].get(id_.int)

    def insert(self, table: str, id_: UUID, **values: Any) -> None:
        declared, event = self._tables[table], self._event
        if id_.int in self._current[table]:
            raise BrokenFold(f"{table} has a row {id_} already")
        row = {
            **declared.empty,
            "id": id_,
            "created_position": event.position,
            "created_at": event.recorded_at,
            "created_by": event.actor,
            **values,
        }
        if not declared.append_only:
            row.update(
                from_position=event.position,
                updated_at=event.recorded_at,
                updated_by=event.actor,
                version=self._own_version(declared, id_, otherwise=0),
                deleted=False,
                **dict.fromkeys(declared.since_names, event.position),
            )
        self._check_columns(declared, row, width=len(declared.columns))
        self._current[table][id_.int] = row
        self._changed[table][id_.int] = None

    def update(self, table: str, id_: UUID, **values: Any) -> None:
        """Sets some columns. Without values only the version of the entity's stream moves on."""
        declared, event, row = self._tables[table], self._event, self.get(table, id_)
        if not declared.immutable_names.isdisjoint(values):
            raise BrokenFold(f"{table} row {id_}: {sorted(values)} holds a column that is set once")
        width = len(row)
        if row["from_position"] < event.position:
            closed, row = row, dict(row)
            self._closed[table].append(Closed(closed, event.position, row))
            self._current[table][id_.int] = row
            self._changed[table][id_.int] = None
        for name, since, _ in declared.intervals:
            if name in values and values[name] != row[name]:
                row[since] = event.position
        row.update(
            values,
            from_position=event.position,
            updated_at=event.recorded_at,
            updated_by=event.actor,
            version=self._own_version(declared, id_, otherwise=row["version"]),
        )
        self._check_columns(declared, row, width=width)

    def put(self, table: str, id_: UUID, *, fixed: Mapping[str, Any], **values: Any) -> None:
        """Inserts with the `fixed` columns and the values, or updates the values of the row that is there."""
        if id_.int in self._current[table]:
            self.update(table, id_, **values)
        else:
            self.insert(table, id_, **fixed, **values)

    def delete(self, table: str, id_: UUID) -> None:
        """Leaves a tombstone: the row still says what the entity was."""
        self.update(table, id_, deleted=True)

    def restore(self, table: str, id_: UUID) -> None:
        self.update(table, id_, deleted=False)

    def erase(self, table: str, id_: UUID) -> None:
        """Takes the personal text out of every version of a row, the stored ones included: as a replay reads it once
        the key is gone."""
        nothing = {column.name: ERASED for column in self._tables[table].personal}
        self.get(table, id_).update(nothing)
        for closed in self._closed[table]:
            if closed[0]["id"] == id_:
                closed[0].update(nothing)
        self._erased[table][id_] = None

    def erased(self, table: str) -> list[UUID]:
        """Rows whose stored versions must lose their personal text too."""
        return list(self._erased[table])

    def inserted(self, table: str) -> list[Row]:
        """Rows that are not stored yet, in the order in which they came into being."""
        current, stored = self._current[table], self._stored[table]
        return [current[key] for key in self._changed[table] if key not in stored]

    def updated(self, table: str) -> list[Row]:
        """Stored rows with a newer version."""
        current, stored = self._current[table], self._stored[table]
        return [current[key] for key in self._changed[table] if key in stored]

    def closed(self, table: str) -> Iterator[Closed]:
        """Versions that ended in this batch."""
        return iter(self._closed[table])

    def _own_version(self, declared: Table, id_: UUID, *, otherwise: int) -> int:
        stream = self._event.stream
        return self._event.version if stream.id == id_ and stream.kind == declared.kind else otherwise

    def _check_columns(self, declared: Table, row: Row, *, width: int) -> None:
        if len(row) != width:
            unknown = row.keys() - declared.by_name.keys()
            raise BrokenFold(f"{declared.name} has no columns {sorted(unknown)}")


def present(event: Event) -> dict[str, Any]:
    """The fields of an update that are set, by name."""
    return {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) is not msgspec.UNSET}
