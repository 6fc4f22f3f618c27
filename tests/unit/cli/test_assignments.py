"""KEY=VALUE arguments."""

from __future__ import annotations

import pytest

from everline.cli.assignments import merged, parse_assignments, parse_values
from everline.cli.failures import UsageFailure


def test_values_are_json_where_they_can() -> None:
    texts = [
        "C=0.5",
        "epochs=3",
        "deep=true",
        "layers=[1,2]",
        "name=rbf",
        "path=s3://b/k?x=1",
        "none=",
        "inf=Infinity",
        'text="5"',
    ]
    assert parse_values(texts, option="--param") == {
        "C": 0.5,
        "epochs": 3,
        "deep": True,
        "layers": [1, 2],
        "name": "rbf",
        "path": "s3://b/k?x=1",
        "none": "",
        "inf": "Infinity",
        "text": "5",
    }


@pytest.mark.parametrize("texts", [["C"], ["=5"], ["C=1", "C=2"]])
def test_what_is_no_assignment_is_a_usage_failure(texts: list[str]) -> None:
    with pytest.raises(UsageFailure):
        parse_assignments(texts, option="--param")


def test_merging_keeps_what_is_not_named() -> None:
    assert merged({"a": 1, "b": 2}, {"b": 3, "c": 4}, without=["a"]) == {"b": 3, "c": 4}


def test_removing_what_is_not_there_names_what_is() -> None:
    with pytest.raises(UsageFailure) as caught:
        merged({"a": 1}, {}, without=["z"])
    assert caught.value.hint == "there are: a"
