"""The nouns of the command line: for each, `list`, `show` and `history` are made from its table, and nothing else is
needed. They come from the server's declarations, by way of `everline/tables.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from everline.tables import TABLES


class Noun(NamedTuple):
    """One kind of entity as the command line knows it; `columns` are what `list` shows unless told otherwise."""

    name: str
    table: str
    columns: tuple[str, ...]
    help: str

    @property
    def kind(self) -> str:
        """The kind as the ledger spells it."""
        return self.name.replace("-", "_")

    @property
    def words(self) -> str:
        """The name as prose has it."""
        return self.name.replace("-", " ")

    @property
    def plural(self) -> str:
        """The name of several, as prose has it."""
        return self.table.replace("-", " ")


NOUNS = tuple(
    Noun(known.kind.replace("_", "-"), known.path, known.columns, known.summary) for known in TABLES if known.summary
)

CHILD_COLUMNS = {
    "metadata": ("key", "value", "step", "step_index", "updated_at"),
    "steps": ("name", "status", "attempt", "started_at", "duration_seconds"),
}
"""What `show` says of the children of an entity, where that is not what `list` says."""

_BY_NAME = {noun.name: noun for noun in NOUNS}
_BY_TABLE = {noun.table: noun for noun in NOUNS}


def noun(name: str) -> Noun:
    """The row of the table with this name."""
    return _BY_NAME[name]


def child_columns(table: str) -> tuple[str, ...]:
    """The columns of a child list such as `model_versions`; none for a table that this client does not know."""
    known = _BY_TABLE.get(table.replace("_", "-"))
    return CHILD_COLUMNS.get(table) or (known.columns if known else ())


def noun_of_kind(kind: str) -> Noun | None:
    """The noun of a kind such as `model_version`, if it is one."""
    return _BY_NAME.get(kind.replace("_", "-"))
