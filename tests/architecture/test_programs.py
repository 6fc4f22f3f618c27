"""The server's programs start lean, and say which variable they miss."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("rich", "aiohttp", "pydantic", "typer")
"""What a library would load because it finds it, and what only a command line needs."""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERLINE_")}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("program", ["gateway.program", "runners.relay", "runners.projector", "runners.sealer"])
def test_a_program_does_not_load_what_it_has_no_use_for(program: str) -> None:
    asked = "; ".join(
        [
            "import runners.programs, importlib, sys",
            "runners.programs.leave_unloaded()",
            f"importlib.import_module({program!r})",
            f"print([name for name in {HEAVY!r} if sys.modules.get(name)])",
        ]
    )
    done = python("-c", asked)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("program", ["relay", "projector", "sealer", "migrate"])
def test_a_missing_variable_is_named(program: str) -> None:
    done = python("-P", "-m", "runners.programs", program)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the environment: ")
    assert "EVERLINE_" in done.stderr
    assert "[settings_invalid]" in done.stderr
    assert "Traceback" not in done.stderr
