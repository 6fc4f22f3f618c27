"""Values survive the way to files and back; what a materializer cannot give back goes to another one."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from everline.artifacts import materializer as registry
from everline.artifacts.materializer import register_materializer
from everline.artifacts.store import LocalStore, open_store
from everline.artifacts.storing import Stored, load_version, store_value
from everline.errors import ArtifactNotLoadable, IntegrityError
from everline.ids import new_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
plain_values = json_values | st.binary() | st.tuples(st.integers(), st.text()) | st.sets(st.integers())
dtypes = (
    numpy_st.boolean_dtypes()
    | numpy_st.integer_dtypes()
    | numpy_st.floating_dtypes()
    | numpy_st.unicode_string_dtypes()
)
arrays = numpy_st.arrays(dtype=dtypes, shape=numpy_st.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
frames = st.builds(
    lambda numbers, texts, index: pd.DataFrame({"number": numbers, "text": texts}, index=index),
    numbers=st.just([1.5, math.nan, 3.0]),
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=3, max_size=3),
    index=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3),
)


def round_trip(value: Any, root: Path) -> tuple[Any, Stored]:
    stored = store_value(value, LocalStore(root), key_in_store=f"values/x/{new_id()}", what="x")
    recorded = {"uri": stored.uri, "materializer": stored.materializer, "content_hash": stored.content_hash}
    return load_version(recorded, store={}), stored


def same(left: Any, right: Any) -> bool:
    """Equal in value and type; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


several = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@several
@given(value=plain_values)
def test_plain_values(tmp_path: Path, value: Any) -> None:
    loaded, _ = round_trip(value, tmp_path)
    assert same(loaded, value)


@several
@given(array=arrays)
def test_arrays(tmp_path: Path, array: Any) -> None:
    loaded, stored = round_trip(array, tmp_path)
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == array.dtype
    assert stored.materializer == "numpy/1"


@several
@given(frame=frames)
def test_frames(tmp_path: Path, frame: pd.DataFrame) -> None:
    loaded, stored = round_trip(frame, tmp_path)
    pd.testing.assert_frame_equal(loaded, frame)
    assert (stored.materializer, stored.data_type) == ("pandas-parquet/1", "pandas.DataFrame")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({1: [1], "a": [2]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"mixed": [1, "a", object]}),
    ],
    ids=["numbers as names", "names twice", "mixed objects"],
)
def test_frames_that_parquet_cannot_hold_are_pickled(tmp_path: Path, frame: pd.DataFrame) -> None:
    loaded, stored = round_trip(frame, tmp_path)
    pd.testing.assert_frame_equal(loaded, frame)
    assert stored.materializer == "cloudpickle/1"


@pytest.mark.parametrize("name", [None, "target", 3])
def test_series_keep_name_index_and_type(tmp_path: Path, name: Any) -> None:
    series = pd.Series([1, 2, None], index=pd.Index(["a", "b", "c"], name="key"), name=name)
    loaded, stored = round_trip(series, tmp_path)
    pd.testing.assert_series_equal(loaded, series)
    assert stored.materializer == "pandas-series-parquet/1"


def test_numpy_scalars_and_object_arrays(tmp_path: Path) -> None:
    scalar, stored = round_trip(np.float32(1.5), tmp_path)
    assert type(scalar) is np.float32
    assert stored.materializer == "numpy/1"
    objects, stored = round_trip(np.array([{1}, None], dtype=object), tmp_path)
    assert objects.tolist() == [{1}, None]
    assert stored.materializer == "cloudpickle/1"


def test_estimators_predict_the_same(tmp_path: Path) -> None:
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(x, y)
    loaded, stored = round_trip(model, tmp_path)
    assert loaded.predict(x).tolist() == model.predict(x).tolist()
    assert (stored.materializer, stored.artifact_type) == ("sklearn-skops/1", "ModelArtifact")


def test_the_hash_depends_on_the_content_only(tmp_path: Path) -> None:
    first, again, other = (round_trip(value, tmp_path)[1] for value in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert first.content_hash == again.content_hash != other.content_hash
    assert first.uri != again.uri


def test_nothing_unfinished_stays_behind(tmp_path: Path) -> None:
    round_trip(1, tmp_path)
    with pytest.raises(Exception, match="cannot be stored"):
        store_value((x for x in ()), LocalStore(tmp_path), key_in_store="values/x/y", what="x")
    assert list((tmp_path / ".staging").iterdir()) == []
    assert not (tmp_path / "values/x/y").exists()


def test_changed_and_missing_files_are_named(tmp_path: Path) -> None:
    _, stored = round_trip("text", tmp_path)
    recorded = {"uri": stored.uri, "materializer": stored.materializer, "content_hash": stored.content_hash}
    (Path(stored.uri) / "text.txt").write_text("changed")
    with pytest.raises(IntegrityError):
        load_version(recorded, store={})
    with pytest.raises(ArtifactNotLoadable, match="there is nothing at"):
        load_version({**recorded, "uri": str(tmp_path / "gone")}, store={})
    with pytest.raises(ArtifactNotLoadable, match="no materializer 'theirs'"):
        load_version({**recorded, "materializer": "theirs/1"}, store={})


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


class Thermometer:
    """A program's own materializer."""

    name, version, artifact_type = "thermometer", 1, "DataArtifact"

    def handles(self, value: object) -> bool:
        return isinstance(value, Celsius)

    def save(self, value: Celsius, directory: Path) -> None:
        (directory / "degrees").write_text(str(value.degrees))

    def load(self, directory: Path, version: int) -> Celsius:  # noqa: ARG002 - the protocol's
        return Celsius(float((directory / "degrees").read_text()))


def test_a_programs_own_materializer_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", [])
    register_materializer(Thermometer())
    loaded, stored = round_trip(Celsius(21.5), tmp_path)
    assert loaded.degrees == 21.5
    assert stored.materializer == "thermometer/1"
    assert stored.data_type.endswith("Celsius")


def test_what_is_no_materializer_is_refused() -> None:
    with pytest.raises(TypeError, match="is no materializer"):
        register_materializer(object())  # type: ignore[arg-type]


def test_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a real S3 server; credentials from the environment only."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="models")
        configuration = {"path": "s3://models/team", "endpoint_url": endpoint, "region": "us-east-1"}
        store = open_store(configuration)
        stored = store_value({"a": 1}, store, key_in_store="values/x/1", what="x")
        assert stored.uri == "s3://models/team/values/x/1"
        recorded = {"uri": stored.uri, "materializer": stored.materializer, "content_hash": stored.content_hash}
        assert load_version(recorded, store=configuration) == {"a": 1}
        with pytest.raises(ArtifactNotLoadable):
            load_version({**recorded, "uri": "s3://models/team/values/x/2"}, store=configuration)
    finally:
        server.stop()


def test_modules_are_not_imported_to_find_out() -> None:
    import subprocess

    code = (
        "import sys; from everline.artifacts.materializer import materializers as found;"
        "[m.handles(1) for m in found()];"
        "assert not {'pandas', 'numpy', 'sklearn', 'pyarrow', 'skops', 'fsspec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
