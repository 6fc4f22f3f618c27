"""By which version of the program each query table of a workspace was made, and which stand still meanwhile.

It changes only under the lock of the workspace's checkpoint. A program that meets a newer one's mark keeps away.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from psycopg.types.json import Jsonb

from ledger.values import Position
from projections.checkpoints import NOTHING, PARTIAL, Checkpoint, read_checkpoint
from projections.errors import ProjectionNewer, ProjectionOutdated
from projections.registry import tables
from projections.versions import digest, program, shape, table_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from uuid import UUID

    from psycopg import AsyncConnection

    from projections.table import Table


class Standing(NamedTuple):
    """Where a table stands still."""

    position: Position
    recorded_at: datetime | None


class Layout(msgspec.Struct, frozen=True):
    """`tables` has each table's version; `program` the numbers of the newest program that made or claimed any of
    them; `standing` names those that nobody moves until they are rebuilt."""

    tables: dict[str, str]
    program: dict[str, int]
    standing: dict[str, Standing]

    def outdated(self) -> frozenset[str]:
        """The tables that this program makes otherwise, or that are not there."""
        return frozenset(name for name in tables() if self.tables.get(name) != table_version(name))

    def is_claimed(self) -> bool:
        """Whether this program has said that the tables are its own, and stopped those that it makes otherwise."""
        return self.program == program() and self.outdated() <= self.standing.keys()

    def moving(self) -> Mapping[str, Table]:
        """The tables that live events are applied to."""
        stopped = self.outdated() | self.standing.keys()
        return {name: declared for name, declared in tables().items() if name not in stopped}

    def with_made(self, names: Collection[str]) -> Layout:
        """After this program made these tables anew; those that it does not have at all are forgotten."""
        made = {**self.tables, **{name: table_version(name) for name in names}}
        return Layout(
            tables={name: version for name, version in made.items() if name in tables()},
            program=dict(program()),
            standing={name: where for name, where in self.standing.items() if name not in names},
        )

    def version(self) -> str:
        """The version that the checkpoint shows for this layout."""
        return PARTIAL if self.outdated() or self.standing else digest()


UNKNOWN = Layout({}, {}, {})
"""Of tables that a program made before layouts were kept."""


async def read_layout(connection: AsyncConnection[Any], workspace_id: UUID) -> Layout:
    """Raises ProjectionNewer when a newer program made or claimed the tables."""
    layout = await _read(connection, workspace_id)
    newer = {kind: number for kind, number in layout.program.items() if number > program().get(kind, 0)}
    if newer:
        raise ProjectionNewer(workspace_id, theirs=newer, ours=program())
    return layout


async def store_layout(connection: AsyncConnection[Any], workspace_id: UUID, layout: Layout) -> None:
    """With the checkpoint locked by the same transaction, whose version is set as well."""
    await connection.execute(
        "INSERT INTO projections.layouts (workspace_id, tables, program, standing) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (workspace_id) DO UPDATE"
        " SET tables = excluded.tables, program = excluded.program, standing = excluded.standing",
        (workspace_id, *(Jsonb(part) for part in msgspec.to_builtins(layout).values())),
    )
    await connection.execute(
        "UPDATE projections.checkpoints SET version = %s WHERE workspace_id = %s", (layout.version(), workspace_id)
    )


async def reached(
    connection: AsyncConnection[Any], workspace_id: UUID, names: Iterable[str] | None = None
) -> Checkpoint:
    """How far all of these tables are (every one, if not given), for whoever reads them.

    Tables of another version that have the columns of ours are read where they stand until they are swapped. Raises
    ProjectionOutdated for those that have not.
    """
    found = await read_checkpoint(connection, workspace_id)
    if found is None or found.version == digest():
        return found or NOTHING
    layout = await _read(connection, workspace_id)
    asked = tables().keys() if names is None else set(names)
    unlike = [name for name in asked if layout.tables.get(name, "").partition(".")[0] != shape(name)]
    if unlike:
        raise ProjectionOutdated(workspace_id, unlike)
    standing = [layout.standing[name] for name in asked if name in layout.standing]
    return found._replace(**min(standing, key=lambda each: each.position)._asdict()) if standing else found


async def _read(connection: AsyncConnection[Any], workspace_id: UUID) -> Layout:
    cursor = await connection.execute(
        "SELECT tables, program, standing FROM projections.layouts WHERE workspace_id = %s", (workspace_id,)
    )
    row = await cursor.fetchone()
    return msgspec.convert(dict(zip(Layout.__struct_fields__, row, strict=True)), Layout) if row else UNKNOWN
