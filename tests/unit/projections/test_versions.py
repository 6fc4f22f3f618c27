"""What follows from what: groups of tables and their versions come from the declarations and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from projections.errors import UnknownProjection
from projections.metadata import METADATA, METRIC_POINTS
from projections.registry import tables
from projections.table import Column
from projections.versions import closure, digest, made_by, shape, table_version
from tests.support.programs import program


def outdated(**numbers: int) -> set[str]:
    before = {name: table_version(name) for name in tables()}
    with program(**numbers):
        return {name for name in tables() if table_version(name) != before[name]}


def test_a_table_is_folded_with_what_its_writers_look_at() -> None:
    assert closure(["tags"]) == {"tags"}
    assert closure(["events"]) == {"events"}
    assert closure(["metadata"]) == {"metadata", "metric_points"}
    assert closure(["artifact_versions"]) == {"artifact_versions", "artifacts", "taggings"}
    assert closure(["steps"]) == {"runs", "steps", "lineage_edges", "pipelines", "stacks", "taggings"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("metadata", {"metadata", "metric_points"}),
        ("tag", {"tags"}),
        ("run", {"runs", "steps", "lineage_edges", "pipelines", "snapshots"}),
        ("pipeline", {"runs", "steps", "lineage_edges", "pipelines", "snapshots"}),
        ("stack", {"stacks", "runs", "steps", "lineage_edges", "pipelines", "snapshots"}),
        ("model_version", {"models", "model_versions"}),
        ("snapshot", {"snapshots"}),
    ],
)
def test_a_version_makes_outdated_what_depends_on_it(kind: str, expected: set[str]) -> None:
    assert outdated(**{kind: 2}) == expected
    assert made_by(kind) == expected


def test_a_changed_column_makes_its_table_and_what_is_folded_with_it_outdated() -> None:
    before, whole = {name: table_version(name) for name in tables()}, digest()
    changed = replace(METADATA, own=(*METADATA.own, Column("unit", "text")))
    with program(tables={"metadata": (changed, METRIC_POINTS)}):
        after = {name: table_version(name) for name in tables()}
        assert digest() != whole
    assert {name for name in before if before[name] != after[name]} == {"metadata", "metric_points"}
    assert digest() == whole


def test_an_index_changes_the_version_and_not_the_shape() -> None:
    before = table_version("metadata"), shape("metadata")
    indexed = tuple(replace(column, indexed=column.immutable) for column in METADATA.own)
    with program(tables={"metadata": (replace(METADATA, own=indexed), METRIC_POINTS)}):
        assert table_version("metadata") != before[0]
        assert shape("metadata") == before[1]


def test_an_index_on_what_can_change_brings_the_intervals_of_its_values() -> None:
    before = shape("metadata")
    indexed = tuple(replace(column, indexed=True) for column in METADATA.own)
    with program(tables={"metadata": (replace(METADATA, own=indexed), METRIC_POINTS)}):
        assert shape("metadata") != before


def test_an_unknown_projection_names_the_known_ones() -> None:
    with pytest.raises(UnknownProjection, match="artifact"):
        made_by("artefact")
