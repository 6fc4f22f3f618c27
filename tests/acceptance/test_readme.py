"""The README's first pipeline, run as a reader would: the script, then every command shown after it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Everline

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("## A first pipeline")[2].partition("\n## ")[0]
PASTS_BEFORE_THE_SYSTEM = re.compile(r"--as-of \S+")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the section in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(120)
def test_the_first_pipeline_runs_as_written(everline: Everline) -> None:
    [script] = blocks("python")
    (everline.directory / "train.py").write_text(script)
    commands = blocks("sh")[-1].splitlines()
    assert commands[0] == "python train.py"
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=everline.directory,
        env=everline.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("completed LogisticRegression(C=0.5")
    for command in commands[1:]:
        program, *words = shlex.split(PASTS_BEFORE_THE_SYSTEM.sub("--as-of 3", command))
        assert program == "everline"
        everline.process(*words)
