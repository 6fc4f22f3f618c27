"""Snapshots: compiled pipelines with their steps, which arrive in slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.snapshot import KIND, SnapshotCreated, SnapshotStepsDefined
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

SNAPSHOTS = Table(
    name="snapshots",
    kind=KIND,
    summary="Immutable compiled pipelines.",
    listed=("id", "pipeline", "step_count", "created_at"),
    taggable=True,
    own=(
        Column("pipeline_id", "uuid", indexed=True, immutable=True, reads="pipelines"),
        Column("pipeline", "text", indexed=True, immutable=True),
        Column("digest", "text", indexed=True, immutable=True),
        Column("step_count", "int", immutable=True),
        Column("steps", "json"),
        Column("parameters", "json", immutable=True),
        Column("settings", "json", immutable=True),
        Column("environment", "json", immutable=True),
    ),
)
TABLES = (SNAPSHOTS,)

SnapshotEvent = SnapshotCreated | SnapshotStepsDefined


def touches(recorded: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    if isinstance(recorded.event, SnapshotCreated):
        yield "pipelines", recorded.event.pipeline_id


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("SnapshotEvent", recorded.event):
        case SnapshotCreated():
            rows.insert(
                "snapshots",
                id_,
                pipeline_id=event.pipeline_id,
                pipeline=rows.get("pipelines", event.pipeline_id)["name"],
                digest=event.digest,
                step_count=event.step_count,
                steps=[],
                parameters=event.parameters,
                settings=event.settings,
                environment=event.environment,
            )
        case SnapshotStepsDefined():
            rows.update("snapshots", id_, steps=[*rows.get("snapshots", id_)["steps"], *event.steps])
        case _:
            assert_never(event)
