"""Pipelines from files through the command line: results, logs, comparison, lineage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Everline

PIPELINE = """
from typing import Annotated

from everline import log_metadata, pipeline, step


@step
def numbers(count: int) -> Annotated[list[int], "numbers"]:
    print(f"making {count} numbers")
    return list(range(count))


@step
def add(numbers: list[int]) -> Annotated[int, "total"]:
    print("adding")
    print("no line end", end="")
    log_metadata({"total": sum(numbers)})
    return sum(numbers)


@step
def check(total: int, limit: int) -> None:
    if total > limit:
        raise ValueError(f"{total} is more than {limit}")


@pipeline
def sums(count: int = 3, limit: int = 100):
    check(add(numbers(count)), limit=limit)


@pipeline
def other():
    numbers(1)
"""


@pytest.fixture(scope="module")
def file(everline: Everline) -> Path:
    path = everline.directory / "sums_file.py"
    path.write_text(PIPELINE)
    return path


@pytest.fixture(scope="module")
def small(everline: Everline, file: Path) -> str:
    """A completed run."""
    return everline.process("pipeline", "run", f"{file}:sums", "-o", "name").stdout.strip()


@pytest.fixture(scope="module")
def failed(everline: Everline, file: Path) -> str:
    """A run that failed in its last step."""
    words = ("pipeline", "run", f"{file}:sums", "--param", "count=5", "--param", "limit=1", "--stack", "local")
    done = everline.process(*words, "-o", "name", code=1)
    assert "10 is more than 1" in done.stderr
    return done.stdout.strip()


def test_the_exit_code_is_the_result_and_stdout_holds_only_the_answer(
    everline: Everline, small: str, failed: str
) -> None:
    assert everline.json("run", "show", small)["status"] == "completed"
    run = everline.json("run", "show", failed)
    assert (run["status"], run["parameters"]) == ("failed", {"count": 5, "limit": 1})
    assert {step["name"]: step["status"] for step in run["steps"]["items"]} == {
        "numbers": "completed",
        "add": "completed",
        "check": "failed",
    }
    assert everline.json("run", "list", "--filter", "status=failed", "--filter", f"name={failed}")["items"]


def test_show_tells_people_why_a_run_failed(everline: Everline, failed: str) -> None:
    text = everline.run("run", "show", failed).stdout
    assert "ValueError" in text
    assert "10 is more than 1" in text
    assert "\nsteps (3)\nname\tstatus\t" in text


def test_logs_are_whole_and_named_by_step(everline: Everline, small: str) -> None:
    assert everline.run("run", "logs", small).stdout.splitlines() == [
        "numbers  making 3 numbers",
        "add  adding",
        "add  no line end",
    ]
    assert everline.run("run", "logs", small, "add", "--follow").stdout == "adding\nno line end\n"
    problem = everline.problem("run", "logs", small, "ad", code=6)
    assert "numbers, add, check" in problem["hint"]


def test_comparing_shows_what_differs(everline: Everline, small: str, failed: str) -> None:
    compared = everline.json("run", "compare", small, failed, "--only-diff")
    rows = {(row["section"], row["field"]): (row["a"], row["b"]) for row in compared["items"]}
    assert (compared["a"], compared["b"]) == (small, failed)
    assert rows["parameter", "count"] == (3, 5)
    assert rows["metadata", "add.total"] == (3, 10)
    assert rows["step", "check.status"] == ("completed", "failed")
    assert ("run", "pipeline") not in rows
    everything = everline.json("run", "compare", small, small)["items"]
    assert not any(row["differs"] for row in everything)


def test_lineage_leads_back_to_where_a_value_came_from(everline: Everline, small: str) -> None:
    run = everline.json("run", "show", small)
    total = next(step for step in run["steps"]["items"] if step["name"] == "add")["outputs"]["total"]
    version = everline.json("artifact-version", "show", total)["name"]
    rows = everline.run("artifact", "lineage", version, "--up", "10").stdout
    assert f"step add\ttotal\t{version}" in rows
    assert "step numbers\tnumbers\tnumbers@" in rows
    assert everline.run("artifact", "lineage", version, "-o", "mermaid").stdout.startswith("flowchart LR\n")
    assert version.partition("@")[0] in everline.run("artifact", "list", "-o", "name").stdout.split()
    assert version in everline.run("artifact", "versions", "total", "-o", "name").stdout.split()


def test_a_description_can_be_given_to_a_pipeline(everline: Everline, small: str) -> None:
    everline.run("pipeline", "update", "sums", "--description", "adds numbers")
    assert everline.json("pipeline", "show", "sums")["description"] == "adds numbers"
    assert small


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nowhere.py",), "there is no file"),
        (("sums_file.py",), "name one"),
        (("sums_file.py:sum",), "did you mean sums?"),
        (("sums_file.py:sums", "--param", "cuont=3"), "did you mean count?"),
        (("sums_file.py:sums", "--param", "count=many"), "count='many'"),
        (("sums_file.py:sums", "--param", "count"), "is not KEY=VALUE"),
        (("sums_file.py:sums", "--stack", "no-such-stack"), "no-such-stack"),
    ],
)
def test_what_cannot_be_run_says_why_and_runs_nothing(
    everline: Everline, file: Path, words: tuple[str, ...], expected: str
) -> None:
    before = everline.json("run", "list", "--count")
    done = everline.process("pipeline", "run", *words, code=6 if "no-such-stack" in words else 2)
    assert expected in done.stderr
    assert done.stdout == ""
    assert everline.json("run", "list", "--count") == before
    assert file.exists()


def test_sync_with_nothing_to_send(everline: Everline) -> None:
    assert everline.json("sync") == {"sent": 0}
