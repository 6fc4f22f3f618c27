"""NumPy arrays and scalars as .npy files, never pickled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FILE = "array.npy"


class Arrays:
    """`numpy.ndarray` of anything but objects, and NumPy's scalars."""

    name, version, artifact_type = "numpy", 1, "DataArtifact"

    def handles(self, value: Any) -> bool:
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return False
        is_array = type(value) is numpy.ndarray or isinstance(value, numpy.generic)
        return is_array and not value.dtype.hasobject

    def save(self, value: Any, directory: Path) -> None:
        import numpy as np

        np.save(directory / FILE, value, allow_pickle=False)
        if isinstance(value, np.generic):
            (directory / "scalar").touch()

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        import numpy as np

        array = np.load(directory / FILE, allow_pickle=False)
        return array[()] if (directory / "scalar").exists() else array
