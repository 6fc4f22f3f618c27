"""`python train.py` as a person runs it: with a server, without one, and when either is killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runners.embedded import free_port
from tests.acceptance.conftest import Everline
from tests.support.waiting import eventually

SCRIPT = """
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from everline import log_metadata, pipeline, step, register_model_version


@step
def load() -> Annotated[pd.DataFrame, "digits"]:
    print("loading digits")
    return load_digits(as_frame=True).frame.head(300)


@step
def train(digits: pd.DataFrame, C: float) -> Annotated[LogisticRegression, "classifier"]:
    if len(sys.argv) > 2:
        Path(sys.argv[2]).touch()
        sys.stdin.readline()
    return LogisticRegression(C=C, max_iter=500).fit(digits.drop(columns="target"), digits["target"])


@step(retries=1)
def evaluate(classifier: LogisticRegression, digits: pd.DataFrame, model: str) -> Annotated[float, "accuracy"]:
    accuracy = float(classifier.score(digits.drop(columns="target"), digits["target"]))
    log_metadata({"accuracy": accuracy})
    register_model_version(model, artifacts={"classifier": classifier}, metadata={"accuracy": accuracy})
    return accuracy


@pipeline
def digits(C: float, model: str):
    data = load()
    evaluate(train(data, C), data, model)


if __name__ == "__main__":
    run = digits(C=0.5, model=sys.argv[1])
    print("RUN", run.id, run.status, run.steps["evaluate"].output("accuracy").load())
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script, in a folder with a package that is called like one of the server's."""
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "__init__.py").write_text("raise ImportError('not for Everline')")
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def model() -> str:
    return f"digits-{uuid.uuid4().hex[:8]}"


def start(everline: Everline, script: Path, *words: str, **changed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), *words],
        cwd=script.parent,
        env=everline.environment | {"XDG_STATE_HOME": str(script.parent / "state")} | changed,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def found(everline: Everline, path: str) -> dict[str, Any]:
    document: dict[str, Any] = httpx2.get(f"{everline.url}/v1/workspaces/default/{path}").json()
    return document


def run_of(everline: Everline, run_id: str) -> dict[str, Any]:
    return next(iter(found(everline, f"runs?id={run_id}")["items"]), {})


def ended(process: subprocess.Popen[str], *, answer: str = "") -> tuple[str, str]:
    out, err = process.communicate(answer, timeout=90)
    assert process.returncode == 0, out + err
    return out, err


def test_a_script_runs_and_is_recorded(everline: Everline, script: Path, model: str) -> None:
    out, err = ended(start(everline, script, model))
    assert "[load] loading digits" in out
    assert err == ""
    run_id, status, accuracy = out.rpartition("RUN ")[2].split()
    assert status == "completed"
    eventually(lambda: run_of(everline, run_id).get("status") == "completed")
    steps = found(everline, f"runs/{run_id}")["steps"]["items"]
    assert [(step["name"], step["status"]) for step in steps] == [
        ("load", "completed"),
        ("train", "completed"),
        ("evaluate", "completed"),
    ]
    version = found(everline, f"model-versions/{model}@1")
    assert version["run_id"] == run_id
    facts = {entry["key"]: entry["value"] for entry in found(everline, f"metadata?resource_id={run_id}")["items"]}
    assert facts == {"accuracy": float(accuracy)}


def test_a_script_without_a_server_trains_on_and_is_sent_later(everline: Everline, script: Path, model: str) -> None:
    """What was meant for one address is sent to that address: the spool file is moved to where the server is."""
    away = f"http://127.0.0.1:{free_port()}"
    spool = script.parent / "spool"
    out, err = ended(start(everline, script, model, EVERLINE_URL=away, EVERLINE_SPOOL_DIR=str(spool)))
    run_id, status, _ = out.rpartition("RUN ")[2].split()
    assert status == "completed"
    assert err.count("everline:") == 1
    assert "everline sync" in err
    (file,) = spool.glob("*/*.jsonl")
    file.write_text(file.read_text().replace(away, everline.url, 1))
    sync = [sys.executable, "-c", "import everline; print(everline.sync())"]
    environment = everline.environment | {"EVERLINE_SPOOL_DIR": str(spool)}
    sent = [
        int(subprocess.run(sync, env=environment, capture_output=True, text=True, check=True).stdout) for _ in range(2)
    ]
    assert sent[0] > 0
    assert sent[1] == 0
    eventually(lambda: run_of(everline, run_id).get("status") == "completed")
    assert not list(spool.glob("*/*.refused"))


def test_what_a_killed_script_did_is_delivered_once(everline: Everline, script: Path, model: str) -> None:
    """kill -9 in the middle of the second step, with the server out of reach until then."""
    away = f"http://127.0.0.1:{free_port()}"
    spool, reached = script.parent / "spool", script.parent / "reached"
    process = start(everline, script, model, str(reached), EVERLINE_URL=away, EVERLINE_SPOOL_DIR=str(spool))
    eventually(reached.exists, seconds_max=60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (file,) = spool.glob("*/*.jsonl")
    file.write_text(file.read_text().replace(away, everline.url, 1))
    run_id = next(
        command["body"]["id"]
        for command in map(json.loads, file.read_text().splitlines())
        if command.get("name") == "create-run"
    )
    environment = everline.environment | {"EVERLINE_SPOOL_DIR": str(spool)}
    sync = [sys.executable, "-c", "import everline; everline.sync(); everline.sync()"]
    subprocess.run(sync, env=environment, check=True)
    eventually(lambda: run_of(everline, run_id).get("steps_completed") == 1)
    found_run = found(everline, f"runs/{run_id}")
    assert found_run["status"] == "running"
    assert [step["status"] for step in found_run["steps"]["items"]] == ["completed", "running", "initializing"]
    events = found(everline, f"events?entity=run/{run_id}&limit=100")["items"]
    assert [event["type"] for event in reversed(events)] == [
        "run.created",
        "run.steps_planned",
        "run.started",
        "step.started",
        "step.completed",
        "step.started",
    ]
