"""What a materializer is, and the list of those that there are: registered ones, installed plug-ins, then ours.

The first that handles a value stores it, and its key is recorded, so that the same one loads it.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from everline.artifacts.arrays import Arrays
from everline.artifacts.estimators import Estimators
from everline.artifacts.pickled import Pickled
from everline.artifacts.plain import Binary, Json, Text
from everline.artifacts.tables import Columns, Tables
from everline.errors import ArtifactNotLoadable

ENTRY_POINT_GROUP = "everline.materializers"


@runtime_checkable
class Materializer(Protocol):
    """Writes values of some types as files and reads them back.

    `name` and `version` are recorded with each value: a new way of writing gets a new version and still reads the old
    ones. `artifact_type` is one of DataArtifact, ModelArtifact, DataAnalysisArtifact, ServiceArtifact,
    SchemaArtifact, StatisticsArtifact, BaseArtifact.
    """

    name: str
    version: int
    artifact_type: str

    def handles(self, value: object) -> bool:
        """Whether `save` and `load` would give this value back."""

    def save(self, value: Any, directory: Path) -> None:
        """Writes files into the empty directory. Raises Unsuitable to leave the value to the next materializer."""

    def load(self, directory: Path, version: int) -> Any:
        """The value that a materializer of this name and version wrote."""


_registered: list[Materializer] = []
_registering = threading.Lock()
_OURS: tuple[Materializer, ...] = (Tables(), Columns(), Arrays(), Estimators(), Text(), Binary(), Json(), Pickled())


def register_materializer(materializer: Materializer) -> None:
    """Puts a program's own materializer before all others. Importing code that loads its artifacts must do the same;
    an installed package uses the entry point group `everline.materializers` instead."""
    if not isinstance(materializer, Materializer):
        raise TypeError(f"{materializer!r} is no materializer: see everline.artifacts.materializer.Materializer")
    with _registering:
        _registered[:] = [materializer, *(each for each in _registered if each.name != materializer.name)]


def materializers() -> tuple[Materializer, ...]:
    """All of them, in the order in which they are asked."""
    return (*_registered, *_installed(), *_OURS)


def key(materializer: Materializer) -> str:
    """What is recorded: `pandas-parquet/1`."""
    return f"{materializer.name}/{materializer.version}"


def materializer_for(recorded: str) -> tuple[Materializer, int]:
    """The materializer that reads what was recorded under this key, and the version that wrote it. Raises
    ArtifactNotLoadable."""
    name, _, version = recorded.rpartition("/")
    for each in materializers():
        if each.name == name:
            if int(version) > each.version:
                raise ArtifactNotLoadable(f"it was written by {recorded}, newer than this {key(each)}", hint="update")
            return each, int(version)
    raise ArtifactNotLoadable(
        f"there is no materializer {name!r} here", hint="import the code that registers it, or install its package"
    )


@cache
def _installed() -> tuple[Materializer, ...]:
    """The plug-ins of installed packages: each entry point names a class without arguments."""
    return tuple(point.load()() for point in entry_points(group=ENTRY_POINT_GROUP))
