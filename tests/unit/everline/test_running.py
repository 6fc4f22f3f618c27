"""Runs without a server: results, failures, retries, order, parallel steps, and what steps print."""

from __future__ import annotations

import json
import logging
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import pytest

from everline import (
    InvalidPipeline,
    RunFailed,
    get_step_context,
    log_metadata,
    pipeline,
    register_model_version,
    step,
)
from everline.errors import IntegrityError, NoStepRunning
from everline.tracking import start_run

TOGETHER_SECONDS_MAX = 10


def commands(home: Path) -> list[dict[str, Any]]:
    """What waits to be sent, in order."""
    lines = [json.loads(line) for file in home.glob("spool/*/*.jsonl") for line in file.read_text().splitlines()]
    return [line for line in lines if "body" in line]


def bodies(home: Path, name: str) -> list[dict[str, Any]]:
    return [command["body"] for command in commands(home) if command["name"] == name]


def log_of(home: Path, run_id: str, step: str, attempt: int = 1) -> str:
    chunks = sorted((home / "state/everline/artifacts/logs" / run_id / step / str(attempt)).glob("*.log"))
    return "".join(chunk.read_text() for chunk in chunks)


@step
def one() -> Annotated[int, "one"]:
    return 1


@step
def double(value: int) -> int:
    return value * 2


@step
def fails() -> int:
    raise ValueError("no luck")


def test_a_run_answers_its_outputs_and_tells_its_story(home: Path) -> None:
    @pipeline
    def doubles() -> None:
        double(one())

    run = doubles()
    assert run.status == "completed"
    assert run.steps["double"].output().load() == 2
    assert run.steps["one"].output("one").artifact == "one"
    assert run.steps["double"].output("output").artifact == "doubles.double.output"
    assert [command["name"] for command in commands(home)] == [
        "create-snapshot",
        "create-run",
        "start-run",
        "start-step",
        "register-artifact-version",
        "complete-step",
        "start-step",
        "register-artifact-version",
        "complete-step",
        "complete-run",
    ]
    ids = [command["id"] for command in commands(home)]
    assert len(set(ids)) == len(ids)


def test_a_failed_step_fails_the_run_and_skips_the_rest(home: Path) -> None:
    @pipeline
    def breaks() -> None:
        double(fails())
        double(one())

    with pytest.raises(RunFailed, match="no luck") as caught:
        breaks.with_options(on_failure="continue")()
    run = caught.value.run
    assert isinstance(caught.value.__cause__, ValueError)
    assert {step.name: step.status for step in run.steps.values()} == {
        "fails": "failed",
        "double": "skipped",
        "one": "completed",
        "double_2": "completed",
    }
    assert run.steps["double"].reason == "upstream step 'fails' failed"
    assert "no luck" in bodies(home, "fail-run")[0]["failure"]["traceback"]
    assert "everline/execution" not in bodies(home, "fail-run")[0]["failure"]["traceback"]


def test_fail_fast_starts_nothing_more() -> None:
    @pipeline
    def breaks() -> None:
        broken = fails()
        double(one(after=broken))  # type: ignore[call-arg]

    with pytest.raises(RunFailed) as caught:
        breaks()
    steps = caught.value.run.steps
    assert [step.status for step in steps.values()] == ["failed", "skipped", "skipped"]
    assert steps["double"].reason == "step 'fails' failed"


def test_a_step_is_tried_again(home: Path) -> None:
    attempts: list[int] = []

    @step(retries=2)
    def flaky() -> int:
        attempts.append(get_step_context().attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")
        return 7

    @pipeline
    def tries() -> None:
        flaky()

    assert tries().steps["flaky"].output().load() == 7
    assert attempts == [1, 2, 3]
    assert [body["attempt"] for body in bodies(home, "fail-step")] == [1, 2]


def test_sys_exit_in_a_step_fails_the_step_only() -> None:
    @step
    def leaves() -> None:
        sys.exit(3)

    @pipeline
    def exits() -> None:
        leaves()

    with pytest.raises(RunFailed, match="SystemExit"):
        exits()


def test_an_interrupt_is_recorded_and_raised_again(home: Path) -> None:
    @step
    def interrupted() -> None:
        raise KeyboardInterrupt

    @pipeline
    def stops() -> None:
        double(one(after=interrupted()))  # type: ignore[call-arg, func-returns-value]

    with pytest.raises(KeyboardInterrupt):
        stops()
    assert [command["name"] for command in commands(home)][-4:] == ["fail-step", "skip-step", "skip-step", "fail-run"]


def test_parallel_steps_keep_their_output_apart(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meeting = threading.Barrier(3, timeout=TOGETHER_SECONDS_MAX)
    logger, handler = logging.getLogger("steps"), logging.StreamHandler()
    logger.addHandler(handler)

    @step
    def meets(who: str) -> str:
        meeting.wait()
        print(f"{who} out")
        meeting.wait()
        print(f"{who} err", file=sys.stderr)
        logger.warning("%s warns", who)
        return who

    @pipeline
    def meet() -> None:
        for who in "abc":
            meets(who)

    run = meet()
    logger.removeHandler(handler)
    for step_name, who in {"meets": "a", "meets_2": "b", "meets_3": "c"}.items():
        assert log_of(home, run.id, step_name) == f"{who} out\n{who} err\n{who} warns\n"
    shown = capsys.readouterr()
    assert "[meets_2] b out\n" in shown.out
    assert "[meets_3] c err\n" in shown.err


def test_a_log_can_be_read_while_the_step_runs(home: Path) -> None:
    from tests.support.waiting import eventually

    @step
    def talks() -> None:
        context = get_step_context()
        print("begun")
        assert eventually(lambda: log_of(home, context.run_id, "talks")) == "begun\n"

    @pipeline
    def conversation() -> None:
        talks()

    assert conversation().status == "completed"


def test_a_traceback_is_in_the_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @pipeline
    def breaks() -> None:
        fails()

    with pytest.raises(RunFailed) as caught:
        breaks()
    assert log_of(home, caught.value.run.id, "fails").endswith("ValueError: no luck\n")
    assert "[fails] ValueError: no luck" in capsys.readouterr().err


def test_the_streams_are_put_back() -> None:
    out, err = sys.stdout, sys.stderr

    @pipeline
    def runs() -> None:
        one()

    runs()
    assert (sys.stdout, sys.stderr) == (out, err)


def test_what_cannot_be_stored_fails_its_step_by_name() -> None:
    @step
    def unstorable() -> object:
        return threading.Lock()

    @pipeline
    def breaks() -> None:
        unstorable()

    with pytest.raises(RunFailed) as caught:
        breaks()
    failure = caught.value.run.steps["unstorable"].failure
    assert failure is not None
    assert failure.type == "OutputNotStorable"
    assert "output 'output' (_thread.lock) cannot be stored" in failure.message


def test_a_full_disk_fails_its_step_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = home / "state/everline/artifacts/values"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder has to be")

    @pipeline
    def breaks() -> None:
        one()

    with pytest.raises(RunFailed, match="OutputNotStorable"):
        breaks()


def test_a_wrong_number_of_outputs_fails_the_step() -> None:
    @step
    def lies() -> tuple[Annotated[int, "a"], Annotated[int, "b"]]:
        return 1, 2, 3  # type: ignore[return-value]

    @pipeline
    def breaks() -> None:
        lies()

    with pytest.raises(RunFailed, match=r"returned 3 values"):
        breaks()


def test_changed_files_are_not_loaded(home: Path) -> None:
    @pipeline
    def runs() -> None:
        one()

    output = runs().steps["one"].output()
    (Path(output.stored.uri) / "value.json").write_text("2")
    with pytest.raises(IntegrityError, match="not what was recorded"):
        output.load()


def test_metadata_of_the_step_of_an_output_and_of_a_model(home: Path) -> None:
    @step
    def trains(data: dict[str, int]) -> Annotated[str, "classifier"]:
        log_metadata({"loss": float("nan"), "best": float("-inf")}, step=3)
        log_metadata({"size": 3}, artifact="classifier")
        register_model_version("churn", {"classifier": "classifier", "data": data}, metadata={"auc": 0.9})
        return "model"

    @step
    def loads() -> Annotated[dict[str, int], "data"]:
        return {"a": 1}

    @pipeline
    def train() -> None:
        trains(loads())

    run = train()
    of_step, of_artifact, of_model = bodies(home, "log-metadata")
    assert of_step["values"] == {"loss": "NaN", "best": "-Infinity"}
    assert (of_step["resource"], of_step["step"], of_step["step_index"]) == (run.id, "trains", 3)
    classifier, data = run.steps["trains"].output("classifier").id, run.steps["loads"].output("data").id
    assert (of_artifact["resource_kind"], of_artifact["resource"]) == ("artifact_version", classifier)
    (version,) = bodies(home, "register-model-version")
    assert version["artifacts"] == {"classifier": classifier, "data": data}
    assert version["run"] == run.id
    assert (of_model["resource_kind"], of_model["resource"]) == ("model_version", version["id"])


def test_metadata_of_a_failed_attempts_output_is_not_recorded(home: Path) -> None:
    @step
    def trains() -> Annotated[str, "classifier"]:
        log_metadata({"size": 3}, artifact="classifier")
        raise ValueError("too late")

    @pipeline
    def train() -> None:
        trains()

    with pytest.raises(RunFailed):
        train()
    assert bodies(home, "log-metadata") == []


def test_outside_of_a_step_there_is_no_context() -> None:
    with pytest.raises(NoStepRunning):
        get_step_context()


def test_an_invalid_pipeline_sends_nothing(home: Path) -> None:
    @pipeline
    def wrong() -> None:
        one()
        double()  # type: ignore[call-arg]

    with pytest.raises(InvalidPipeline):
        wrong()
    assert commands(home) == []


def test_a_tracked_script(home: Path) -> None:
    with start_run("script", params={"lr": 0.1}) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_artifact("weights", [1, 2])
        log_metadata({"note": "inside"})
    assert run.status == "completed"
    assert bodies(home, "complete-step")[0]["outputs"].keys() == {"weights"}
    assert [body["values"] for body in bodies(home, "log-metadata")] == [{"loss": 1.0}, {"note": "inside"}]


def test_a_script_that_breaks_fails_its_run(home: Path) -> None:
    with pytest.raises(ValueError, match="broken"), start_run("script"):
        raise ValueError("broken")
    assert [command["name"] for command in commands(home)][-2:] == ["fail-step", "fail-run"]


def test_basic_config_inside_a_step_works(home: Path) -> None:
    """Logging set up by a step must not be shadowed by ours."""

    @step
    def configures() -> int:
        root = logging.getLogger()
        before = list(root.handlers)
        root.handlers.clear()
        try:
            logging.basicConfig(level=logging.INFO)
            logging.getLogger("mine").info("told")
        finally:
            root.handlers[:] = before
            root.setLevel(logging.WARNING)
        return 1

    @pipeline
    def runs() -> None:
        configures()

    run = runs()
    assert "INFO:mine:told" in log_of(home, run.id, "configures")
