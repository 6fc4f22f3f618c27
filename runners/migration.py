"""Migrates every PostgreSQL of the deployment, the home first."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import psycopg

from ledger.placement import MAIN
from ledger.postgres.migrate import migrate


def migrate_all(aliases: Mapping[str, str]) -> None:
    """The home must answer. One beside it that is away is named and left: until it was migrated, the programs let its
    workspaces wait. Raises SchemaNewer, which stops at the PostgreSQL that it is about."""
    for alias, owner_dsn in aliases.items():
        try:
            migrate(owner_dsn)
        except psycopg.OperationalError as error:
            if alias == MAIN:
                raise
            print(f"warning: {alias!r} is away and was not migrated: {error}", file=sys.stderr)
