"""Pipelines from files, and parameters from text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everline import InvalidPipeline, pipeline
from everline.errors import InvalidParameter
from everline.execution.loading import load_pipeline, parse_parameters, parse_value, run_file

SOURCE = """
from everline import pipeline, step
import beside

@step
def scaled(value: float) -> float:
    return value * beside.FACTOR

@pipeline
def scale(value: float, times: int = 1):
    scaled(value * times)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("FACTOR = 10")
    path = tmp_path / "scaling.py"
    path.write_text(SOURCE)
    return path


def test_a_file_runs_with_parameters_as_text(file: Path) -> None:
    run = run_file(file, parameters={"value": "0.5", "times": "3"})
    assert run.steps["scaled"].output().load() == 15.0


def test_the_name_is_needed_only_among_several(file: Path) -> None:
    assert load_pipeline(file).name == "scale"
    assert load_pipeline(file, "scale").name == "scale"
    with pytest.raises(InvalidPipeline, match="did you mean scale"):
        load_pipeline(file, "scales")


def test_a_file_without_pipelines_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "nothing_in_it.py").write_text("")
    with pytest.raises(InvalidPipeline, match="has 0 pipelines"):
        load_pipeline(tmp_path / "nothing_in_it.py")
    with pytest.raises(InvalidPipeline, match="there is no file"):
        load_pipeline(tmp_path / "missing.py")


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("0.5", float, 0.5),
        ("3", str, "3"),
        ("true", bool, True),
        ("[1, 2]", list[int], [1, 2]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("null", int | None, None),
        ("abc", Any, "abc"),
        ("[1]", Any, [1]),
    ],
)
def test_values_follow_the_annotation(text: str, annotation: Any, value: Any) -> None:
    parsed = parse_value(text, annotation, name="x")
    assert parsed == value
    assert type(parsed) is type(value)


def test_what_does_not_fit_is_named() -> None:
    @pipeline
    def takes(count: int) -> None: ...

    with pytest.raises(InvalidParameter, match="parameter count='many'"):
        parse_parameters(takes, {"count": "many"})
    with pytest.raises(InvalidParameter, match=r"no parameter 'counts'.*did you mean count"):
        parse_parameters(takes, {"counts": "1"})
    with pytest.raises(InvalidParameter, match="needs count"):
        parse_parameters(takes, {})
