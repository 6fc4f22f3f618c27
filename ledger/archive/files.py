"""Rows of the log as Parquet files, and back, to the byte. Columns have the names and types of `ledger.events`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ledger.archive.errors import ArchiveSupportMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[Any, ...]
"""A row of the log, in the order of its columns."""

EVENTS_PER_FILE_MAX = 5_000
FILE_DATA_BYTES_MAX = 8 << 20
"""Of the events' data: what a reader holds of one file stays small, also where events are large."""


def cut(rows: Sequence[Row]) -> Sequence[Row]:
    """As many of the first rows as a file may hold; one at least."""
    size_bytes = 0
    for number, row in enumerate(rows[:EVENTS_PER_FILE_MAX]):
        size_bytes += len(row[8])
        if size_bytes > FILE_DATA_BYTES_MAX and number:
            return rows[:number]
    return rows[:EVENTS_PER_FILE_MAX]


def to_parquet(rows: Sequence[Row]) -> bytes:
    """Raises ArchiveSupportMissing."""
    arrow, parquet = _libraries()
    schema = _schema(arrow)
    columns = [arrow.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    sink = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def from_parquet(data: bytes) -> list[Row]:
    """Raises ArchiveSupportMissing, and ValueError for bytes that are no such file."""
    arrow, parquet = _libraries()
    try:
        table = parquet.read_table(io.BytesIO(data))
        if table.schema.names != _schema(arrow).names:
            raise ValueError(f"its columns are {table.schema.names}")
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error


def _schema(arrow: Any) -> Any:
    time = arrow.timestamp("us", tz="UTC")
    return arrow.schema(
        [
            arrow.field("workspace_id", arrow.uuid(), nullable=False),
            arrow.field("position", arrow.int64(), nullable=False),
            arrow.field("stream_kind", arrow.string(), nullable=False),
            arrow.field("stream_id", arrow.uuid(), nullable=False),
            arrow.field("version", arrow.int32(), nullable=False),
            arrow.field("event_id", arrow.uuid(), nullable=False),
            arrow.field("type", arrow.string(), nullable=False),
            arrow.field("schema", arrow.int16(), nullable=False),
            arrow.field("data", arrow.binary(), nullable=False),
            arrow.field("actor", arrow.string(), nullable=False),
            arrow.field("command_id", arrow.uuid(), nullable=False),
            arrow.field("correlation_id", arrow.uuid(), nullable=False),
            arrow.field("causation_id", arrow.uuid()),
            arrow.field("occurred_at", time, nullable=False),
            arrow.field("recorded_at", time, nullable=False),
            arrow.field("leaf_hash", arrow.binary(), nullable=False),
        ]
    )


def _libraries() -> tuple[Any, Any]:
    """pyarrow takes a while to import and is an extra: only who reads or writes an archive needs it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ArchiveSupportMissing from None
    return pa, pa.parquet
