"""The registry finds a projection for every aggregate, and what the tables declare holds together."""

from __future__ import annotations

import pytest

from ledger.events.registry import aggregates
from projections.errors import UnknownTable
from projections.registry import entity_table, projection, table, table_of, tables
from projections.table import ANY_OWNER
from projections.versions import digest


@pytest.mark.parametrize("kind", aggregates())
def test_every_aggregate_has_its_projection(kind: str) -> None:
    assert projection(kind).VERSION >= 1
    assert entity_table(kind).kind == kind
    assert entity_table(kind).name in tables()


def test_tables_of_entities_without_a_stream_are_found_by_kind() -> None:
    assert table_of("step").name == "steps"
    assert table_of("metric_point").name == "metric_points"


def test_an_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(UnknownTable, match="stacks"):
        table("stack")


def test_columns_refer_to_tables_that_exist() -> None:
    for declared in tables().values():
        for column in declared.own:
            assert column.loads in {"", *tables()}
            assert column.owner in {"", ANY_OWNER, *tables()}
        assert len(declared.by_name) == len(declared.columns), f"{declared.name} declares a column twice"


def test_the_digest_names_the_declarations() -> None:
    assert digest() == digest()
    assert len(digest()) == 64
