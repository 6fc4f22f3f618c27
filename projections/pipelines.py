"""Pipelines, with what is known of their runs (kept by `runs.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.pipeline import KIND, PipelineDeleted, PipelineRegistered, PipelineRestored, PipelineUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

PIPELINES = Table(
    name="pipelines",
    kind=KIND,
    summary="Pipelines; `pipeline run` executes one from a file.",
    listed=("name", "run_count", "latest_run_status", "updated_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True),
        Column("description", "text"),
        Column("run_count", "int"),
        Column("latest_run_id", "uuid"),
        Column("latest_run_status", "text", indexed=True),
    ),
)
TABLES = (PIPELINES,)

PipelineEvent = PipelineRegistered | PipelineUpdated | PipelineDeleted | PipelineRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("PipelineEvent", recorded.event):
        case PipelineRegistered():
            rows.insert("pipelines", id_, name=event.name, description=event.description, run_count=0)
        case PipelineUpdated():
            rows.update("pipelines", id_, **present(event))
        case PipelineDeleted():
            rows.delete("pipelines", id_)
        case PipelineRestored():
            rows.restore("pipelines", id_)
        case _:
            assert_never(event)
