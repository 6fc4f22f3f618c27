"""The last resort: cloudpickle. Only ever read in a person's process, after the bytes were checked."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

FILE = "value.pkl"


class Pickled:
    """Everything that can be pickled, functions and classes of the main module too."""

    name, version = "cloudpickle", 1
    artifact_type = "BaseArtifact"

    def handles(self, value: object) -> bool:  # noqa: ARG002 - what cannot be pickled raises when it is saved
        return True

    def save(self, value: Any, directory: Path) -> None:
        import cloudpickle  # type: ignore[import-untyped]

        with (directory / FILE).open("wb") as file:
            cloudpickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)
        python = ".".join(map(str, sys.version_info[:2]))
        (directory / "python.txt").write_text(python, encoding="ascii")

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        with (directory / FILE).open("rb") as file:
            return pickle.load(file)  # noqa: S301 - checked against the ledger's hash by the caller
