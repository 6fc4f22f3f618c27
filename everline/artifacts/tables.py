"""pandas: data frames and series as Parquet, with their index and types."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from everline.artifacts.suitability import Unsuitable

FILE = "data.parquet"
NAME_FILE = "series.json"
COLUMN = "value"


class Tables:
    """`pandas.DataFrame` with distinct text column names."""

    name, version, artifact_type = "pandas-parquet", 1, "DataArtifact"

    def handles(self, value: Any) -> bool:
        pandas = sys.modules.get("pandas")
        return (
            pandas is not None
            and type(value) is pandas.DataFrame
            and value.columns.is_unique
            and all(type(column) is str for column in value.columns)
        )

    def save(self, value: Any, directory: Path) -> None:
        write(value, directory)

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        return read(directory)


class Columns:
    """`pandas.Series` as a table of one column; its name stands beside it."""

    name, version, artifact_type = "pandas-series-parquet", 1, "DataArtifact"

    def handles(self, value: Any) -> bool:
        pandas = sys.modules.get("pandas")
        return pandas is not None and type(value) is pandas.Series and type(value.name) in {str, int, type(None)}

    def save(self, value: Any, directory: Path) -> None:
        write(value.to_frame(COLUMN), directory)
        (directory / NAME_FILE).write_text(json.dumps(value.name), encoding="ascii")

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        return read(directory)[COLUMN].rename(json.loads((directory / NAME_FILE).read_text()))


def write(frame: Any, directory: Path) -> None:
    """Parquet has no type for a column of mixed objects: such a frame is left to another materializer."""
    try:
        import pyarrow as pa
    except ImportError:
        raise Unsuitable("pyarrow is not installed") from None
    try:
        frame.to_parquet(directory / FILE, engine="pyarrow")
    except (pa.ArrowException, NotImplementedError, TypeError, ValueError) as error:
        raise Unsuitable(str(error)) from error


def read(directory: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(directory / FILE, engine="pyarrow")
