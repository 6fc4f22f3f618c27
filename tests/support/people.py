"""People in a control ledger, and a search for what is left of them."""

from __future__ import annotations

import psycopg
from psycopg import sql

from commands.command import Command
from commands.person import RegisterPerson, UpdatePerson
from tests.support.handling import Handling

HANDLE, NAME, EMAIL, NEW_NAME = "ada.l", "Ada Löveläce-Byron", "ada.lovelace@example.org", "Countess Augusta"
TRACES = (HANDLE, NAME, EMAIL, NEW_NAME, "Löveläce", "augusta")


def registration() -> Command:
    return RegisterPerson(handle=HANDLE, name=NAME, email=EMAIL)


async def register(control: Handling) -> str:
    """A person with a past; the id."""
    person = str((await control.accept(registration())).id)
    await control.accept(UpdatePerson(person=HANDLE, name=NEW_NAME))
    return person


def everything_in(owner_dsn: str) -> dict[str, str]:
    """Every row of every table as text, with binary columns as the text that they hold."""
    found: dict[str, str] = {}
    with psycopg.connect(owner_dsn) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))).fetchall()
            found[f"{schema}.{table}"] = "\n".join(_text(value) for row in rows for value in row)
    return found


def traces_in(texts: dict[str, str]) -> dict[str, list[str]]:
    """Where personal text stands, whatever its case."""
    found = {place: [trace for trace in TRACES if trace.casefold() in text.casefold()] for place, text in texts.items()}
    return {place: traces for place, traces in found.items() if traces}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
