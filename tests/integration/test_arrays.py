"""Arrays that are packed here are what PostgreSQL reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.postgres import arrays
from ledger.postgres.arrays import Array, Bigints, Byteas, Integers, Smallints, Texts, Timestamps, Uuids
from tests.support.servers import Database

VALUES: dict[type[Array[Any]], st.SearchStrategy[Any]] = {
    Uuids: st.uuids(),
    Texts: st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",))),
    Byteas: st.binary(max_size=300),
    Smallints: st.integers(-(2**15), 2**15 - 1),
    Integers: st.integers(-(2**31), 2**31 - 1),
    Bigints: st.integers(-(2**63), 2**63 - 1),
    Timestamps: st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - a naive bound
}


@pytest.mark.parametrize("array", arrays.ARRAYS, ids=lambda array: array.__name__)
def test_postgres_reads_what_was_packed(database: Database, array: type[Array[Any]]) -> None:
    with psycopg.connect(database.app_dsn, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        arrays.register(connection)

        @given(st.lists(st.none() | VALUES[array], max_size=20))
        def holds(values: list[Any]) -> None:
            row = connection.execute("SELECT %s", (array(values),), binary=True).fetchone()
            assert row == (values,)

        holds()


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(AttributeError):
        Uuids(["not a uuid"])  # type: ignore[list-item]
    assert Uuids([UUID(int=1)]).packed.endswith(UUID(int=1).bytes)
