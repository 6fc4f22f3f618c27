"""scikit-learn estimators in the skops format, which names every type it needs before it makes one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from everline.artifacts.suitability import Unsuitable

FILE = "estimator.skops"


class Estimators:
    """Anything that derives from `sklearn.base.BaseEstimator`."""

    name, version, artifact_type = "sklearn-skops", 1, "ModelArtifact"

    def handles(self, value: object) -> bool:
        base = sys.modules.get("sklearn.base")
        return base is not None and isinstance(value, base.BaseEstimator)

    def save(self, value: Any, directory: Path) -> None:
        try:
            import skops.io
        except ImportError:
            raise Unsuitable("skops is not installed") from None
        try:
            skops.io.dump(value, directory / FILE)
        except Exception as error:  # skops raises whatever an unknown type makes it raise
            raise Unsuitable(str(error)) from error

    def load(self, directory: Path, version: int) -> Any:  # noqa: ARG002 - one version so far
        """The bytes were checked against the ledger before: they are what a step of this workspace wrote, so the
        types that they name are trusted."""
        import skops.io

        path = directory / FILE
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
