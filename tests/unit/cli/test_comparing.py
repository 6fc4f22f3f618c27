"""Two runs side by side."""

from __future__ import annotations

from everline.cli.comparing import Side, compare


def side(c: float, *, accuracy: float | None, step_status: str = "completed") -> Side:
    return Side(
        run={"pipeline": "digits", "status": "completed", "parameters": {"C": c, "forest": {"trees": 10}}},
        steps=[
            {"name": "train", "status": step_status, "attempt": 1, "duration_seconds": 1.0, "outputs": {"m": "m@1"}}
        ],
        metadata=[] if accuracy is None else [{"key": "accuracy", "step": "evaluate", "value": accuracy}],
    )


def test_every_field_of_either_run_has_a_row_in_the_order_of_sections() -> None:
    rows = compare(side(0.5, accuracy=None), side(1.0, accuracy=0.9))
    differing = [(row["section"], row["field"], row["a"], row["b"]) for row in rows if row["differs"]]
    assert differing == [("parameter", "C", 0.5, 1.0), ("metadata", "evaluate.accuracy", None, 0.9)]
    assert [row["section"] for row in rows] == sorted(
        (row["section"] for row in rows), key=["run", "parameter", "metadata", "step"].index
    )
    assert ("parameter", "forest.trees") in {(row["section"], row["field"]) for row in rows}


def test_a_step_that_only_one_run_has_still_shows() -> None:
    alone = Side(run={}, steps=[], metadata=[])
    rows = compare(alone, side(1.0, accuracy=None))
    assert {"section": "step", "field": "train.status", "a": None, "b": "completed", "differs": True} in rows
