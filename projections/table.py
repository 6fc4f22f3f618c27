"""What a query table is: its columns, and what the engine adds to every one of them.

A row of the current table is the newest version of an entity; its `_history` twin holds the closed versions, each with
the positions `[from_position, to_position)` at which it was true and only those columns that can change.

A column that can change and is indexed has intervals of its own: a value holds over `[since, to_position)`, however
many versions the row has meanwhile. So a question about it is not slowed down by changes of anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.values import Position

ColumnType = Literal["text", "uuid", "int", "float", "bool", "time", "json", "text_list"]

Row = dict[str, Any]
"""One version of an entity in memory, by column name."""

SQL_TYPES: dict[ColumnType, str] = {
    "text": "text",
    "uuid": "uuid",
    "int": "bigint",
    "float": "double precision",
    "bool": "boolean",
    "time": "timestamptz",
    "json": "jsonb",
    "text_list": "text[]",
}

ANY_OWNER = "*"


@dataclass(frozen=True)
class Column:
    """`indexed` columns can be filtered and sorted fast, live and as of; `immutable` ones are set once, with the row.
    `personal` ones hold personal text, which an erasure takes out of every version.

    A column that `happened` holds times that are never after the position that set them was recorded. `loads` names a
    table whose row with this id is at hand whenever this row is, to be read and changed; `reads` one whose row is
    looked at when this one is made. A projection touches no table of another but through these. `owner` names the table
    whose entities are shown together with the rows that hold their id here; ANY_OWNER stands for all of them.
    """

    name: str
    type: ColumnType
    indexed: bool = False
    immutable: bool = False
    personal: bool = False
    happened: bool = False
    loads: str = ""
    reads: str = ""
    owner: str = ""

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]

    @property
    def keyed(self) -> bool:
        """Whether the intervals of its values are indexed. Those of personal text are not: after an erasure a replay
        could not tell any more when it changed."""
        return self.indexed and not self.immutable and not self.personal

    @cached_property
    def since(self) -> str:
        """The column that says from which position on the value has been what it is."""
        return f"{self.name}_since"

    @cached_property
    def node(self) -> str:
        """The column of a closed version with which the value ended too: the interval-tree node of the value."""
        return f"{self.name}_node"


IDENTITY = (
    Column("id", "uuid", immutable=True),
    Column("created_position", "int", immutable=True),
    Column("created_at", "time", immutable=True),
    Column("created_by", "text", immutable=True),
)
LIFE = (
    Column("from_position", "int"),
    Column("updated_at", "time"),
    Column("updated_by", "text"),
    Column("version", "int"),
    Column("deleted", "bool", indexed=True),
)
"""`version` is that of the entity's own stream (0 for a row that has none); `deleted` marks a tombstone."""

TAGS = Column("tags", "text_list")
TO_POSITION = Column("to_position", "int")


@dataclass(frozen=True)
class Table:
    """A declared query table. `append_only` rows never change, so they have no history twin.

    `referred_by` names the columns by which people refer to an entity, in the order in which they are tried.
    `summary` is the line that the command line says of it and `listed` the columns that its `list` shows; a table
    without a summary is shown with something else. Neither is stored, so changing them rebuilds nothing. The rows of a
    `taggable` table show the tags that `taggings.py` gives them.
    """

    name: str
    kind: str
    own: tuple[Column, ...]
    append_only: bool = False
    taggable: bool = False
    referred_by: tuple[str, ...] = ("name",)
    summary: str = field(default="", repr=False)
    listed: tuple[str, ...] = field(default=(), repr=False)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column of the current table but workspace_id, which the engine adds in front."""
        if self.append_only:
            return IDENTITY + self.own
        return IDENTITY + LIFE + ((TAGS,) if self.taggable else ()) + self.own + self._since_columns

    @cached_property
    def keyed(self) -> tuple[Column, ...]:
        """The columns whose values have intervals."""
        return () if self.append_only else tuple(column for column in LIFE + self.own if column.keyed)

    @cached_property
    def intervals(self) -> tuple[tuple[str, str, str], ...]:
        """Of each keyed column its name and those of the columns with its interval, for the inner loop of folding."""
        return tuple((column.name, column.since, column.node) for column in self.keyed)

    @cached_property
    def since_names(self) -> tuple[str, ...]:
        return tuple(column.since for column in self.keyed)

    @cached_property
    def _since_columns(self) -> tuple[Column, ...]:
        return tuple(Column(name, "int") for name in self.since_names)

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def mutable(self) -> tuple[Column, ...]:
        """The columns that a version has of its own."""
        return () if self.append_only else tuple(column for column in self.columns if not column.immutable)

    @cached_property
    def personal(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.personal)

    @cached_property
    def immutable_names(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns if column.immutable or self.append_only)

    @cached_property
    def loaded(self) -> tuple[Column, ...]:
        """What folding needs of a stored row: documents that cannot change stay where they are."""
        return tuple(column for column in self.columns if not (column.immutable and column.type == "json"))

    @cached_property
    def history(self) -> str:
        return f"{self.name}_history"

    @cached_property
    def history_columns(self) -> tuple[Column, ...]:
        """Every column of the history twin but workspace_id."""
        nodes = (Column(column.node, "int") for column in self.keyed)
        return (*IDENTITY[:2], TO_POSITION, *self.mutable, *nodes)

    @cached_property
    def version_names(self) -> tuple[str, ...]:
        """What a closed version takes over from the row."""
        return tuple(column.name for column in (*IDENTITY[:2], *self.mutable))

    @cached_property
    def version_of(self) -> Callable[[Row], tuple[Any, ...]]:
        """The values of `version_names` in a row."""
        return itemgetter(*self.version_names)

    @cached_property
    def empty(self) -> Row:
        """A row with nothing in it."""
        return {column.name: [] if column.type == "text_list" else None for column in self.columns}

    def shown(self) -> tuple[Column, ...]:
        """The columns that people see, what the entity is before how it came to be."""
        hidden = {"from_position", "deleted"}
        first, rest = IDENTITY[:1], IDENTITY[1:]
        engine = rest if self.append_only else rest + LIFE
        tags = (TAGS,) if self.taggable else ()
        return (*first, *self.own, *tags, *(column for column in engine if column.name not in hidden))


LEVELS_MIN = 24
"""Levels of the interval tree that are always looked at: enough for the first sixteen million positions."""


def node_of(from_position: Position, to_position: Position) -> int:
    """The interval-tree node of a value that held over `[from, to)`: the multiple of the highest power of two inside.

    Relational interval tree (Kriegel, Poetke, Seidl, VLDB 2000): see `nodes_at` for the other half.
    """
    last = to_position - 1
    level = ((from_position - 1) ^ last).bit_length() - 1
    return (last >> level) << level


def nodes_at(position: Position, head: Position) -> list[int]:
    """Every node whose values can hold at `position` while the tables are at `head`, or have just moved on from it.

    Values may end between reading the head and reading them; LEVELS_MIN and the level above the head
    keep their nodes among those that are looked at.
    """
    if position < 1:
        return []
    lowest = (position & -position).bit_length() - 1
    levels = max(LEVELS_MIN, lowest + 1, head.bit_length() + 1)
    return [((position >> level) | 1) << level for level in range(lowest, levels)]
