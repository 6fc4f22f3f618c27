"""Migrations of the ledger's schema: run at start, in order, under a lock, and never backwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ledger.errors import PostgresOlder, SchemaNewer, SchemaOlder
from ledger.upcasters import check_chains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import AsyncConnectionPool

APP_ROLE = "everline_app"
POSTGRES_MAJOR_MIN = 17
MIGRATION_LOCK = 0x65766572
"""Key of the advisory lock: programs that start together migrate one after the other."""

_VERSIONS = """
CREATE TABLE IF NOT EXISTS public.everline_schema (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


def migrations() -> Iterator[tuple[int, str, str]]:
    """(number, name, SQL) of every migration, in order."""
    for file in sorted((Path(__file__).parent / "schema").glob("*.sql")):
        number, _, name = file.stem.partition("_")
        yield int(number), name, file.read_text(encoding="utf-8")


def migrate(owner_dsn: str) -> None:
    """Brings the database to this program's schema and makes sure that the serving role exists.

    Blocks while another program migrates. Each migration commits on its own; repeating is harmless.
    Raises SchemaNewer when the database was migrated by a newer program, and PostgresOlder for a server that is too
    old, changing nothing.
    """
    check_chains()
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        major = connection.info.server_version // 10_000
        if major < POSTGRES_MAJOR_MIN:
            raise PostgresOlder(found=major, needed=POSTGRES_MAJOR_MIN)
        connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        _create_role(connection)
        connection.execute(_VERSIONS)
        row = connection.execute("SELECT coalesce(max(version), 0) FROM public.everline_schema").fetchone()
        found = row[0] if row else 0
        steps = list(migrations())
        known = steps[-1][0]
        if found > known:
            raise SchemaNewer(found=found, known=known)
        for number, name, statements in steps:
            if number > found:
                with connection.transaction():
                    connection.execute(statements.encode())
                    connection.execute(
                        "INSERT INTO public.everline_schema (version, name) VALUES (%s, %s)", (number, name)
                    )


async def check_schema(pool: AsyncConnectionPool[Any]) -> None:
    """Raises SchemaOlder or SchemaNewer unless the database is at this program's schema."""
    known = max(number for number, _, _ in migrations())
    async with pool.connection() as connection:
        try:
            cursor = await connection.execute("SELECT max(version) FROM public.everline_schema")
            found = (await cursor.fetchone() or (0,))[0] or 0
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            found = 0  # never migrated, or by a program from before anybody could ask
    if found > known:
        raise SchemaNewer(found=found, known=known)
    if found < known:
        raise SchemaOlder(found=found, known=known)


def _create_role(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """The serving role belongs to the whole cluster; two databases may race to create it."""
    role = sql.Identifier(APP_ROLE)
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).fetchone()
    if not exists:
        try:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            exists = (1,)  # another database's migration was faster
    database = connection.info.dbname
    connection.execute(sql.SQL("GRANT CONNECT, CREATE ON DATABASE {} TO {}").format(sql.Identifier(database), role))
