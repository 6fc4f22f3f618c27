"""What steps read and wrote: one row for each artifact version that went into or came out of a step."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ledger.events.run import StepCached, StepCompleted, StepStarted
from ledger.values import derived_id
from projections import steps
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from projections.rows import Rows
    from projections.runs import StepEvent

LINEAGE_EDGES = Table(
    name="lineage_edges",
    kind="lineage_edge",
    append_only=True,
    own=(
        Column("artifact_version_id", "uuid", indexed=True),
        Column("step_id", "uuid", indexed=True),
        Column("direction", "text"),
        Column("name", "text"),
        Column("run_id", "uuid", indexed=True),
        Column("step", "text"),
    ),
)


def touches(run_id: UUID, event: StepEvent) -> Iterable[tuple[str, UUID]]:
    for direction, name, artifact_version_id in _edges(event):
        yield "lineage_edges", _row_id(run_id, event.step, direction, name, artifact_version_id)


def apply(rows: Rows, run_id: UUID, event: StepEvent) -> None:
    """A repeated attempt that reads the same inputs adds nothing."""
    for direction, name, artifact_version_id in _edges(event):
        id_ = _row_id(run_id, event.step, direction, name, artifact_version_id)
        if rows.find("lineage_edges", id_) is None:
            rows.insert(
                "lineage_edges",
                id_,
                artifact_version_id=artifact_version_id,
                step_id=steps.row_id(run_id, event.step),
                direction=direction,
                name=name,
                run_id=run_id,
                step=event.step,
            )


def _edges(event: StepEvent) -> Iterator[tuple[str, str, UUID]]:
    """(direction, name, artifact version) of what an event tells of a step's data: `in` was read, `out` written."""
    if isinstance(event, StepStarted | StepCached):
        for name, artifact_version_id in event.inputs.items():
            yield "in", name, artifact_version_id
    if isinstance(event, StepCompleted | StepCached):
        for name, artifact_version_id in event.outputs.items():
            yield "out", name, artifact_version_id


@lru_cache(steps.IDS_KEPT_MAX)
def _row_id(*parts: object) -> UUID:
    return derived_id("lineage_edge", *parts)
