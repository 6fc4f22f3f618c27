"""Models, with what is known of their versions (kept by `model_versions.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.model import KIND, ModelDeleted, ModelRegistered, ModelRestored, ModelUpdated
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

MODELS = Table(
    name="models",
    kind=KIND,
    summary="Models, their versions and who is in production.",
    listed=("name", "version_count", "production_version_number", "updated_at"),
    taggable=True,
    own=(
        Column("name", "text", indexed=True),
        Column("description", "text"),
        Column("license", "text"),
        Column("audience", "text"),
        Column("use_cases", "text"),
        Column("limitations", "text"),
        Column("trade_offs", "text"),
        Column("ethics", "text"),
        Column("version_count", "int"),
        Column("latest_version_number", "int"),
        Column("production_version_id", "uuid"),
        Column("production_version_number", "int"),
    ),
)
TABLES = (MODELS,)

ModelEvent = ModelRegistered | ModelUpdated | ModelDeleted | ModelRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("ModelEvent", recorded.event):
        case ModelRegistered():
            rows.insert(
                "models",
                id_,
                name=event.name,
                description=event.description,
                license=event.license,
                audience=event.audience,
                use_cases=event.use_cases,
                limitations=event.limitations,
                trade_offs=event.trade_offs,
                ethics=event.ethics,
                version_count=0,
            )
        case ModelUpdated():
            rows.update("models", id_, **present(event))
        case ModelDeleted():
            rows.delete("models", id_)
        case ModelRestored():
            rows.restore("models", id_)
        case _:
            assert_never(event)
