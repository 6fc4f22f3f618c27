"""Hands over to the operator's program, so that no server package is ever imported into this process.

`-P` keeps the current folder off the module path: a user's own `commands/` or `ledger/` folder breaks nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

NO_OPTIONS: Mapping[str, str] = {}
NO_FLAGS: Mapping[str, bool] = {}


def become_operator(
    verb: str,
    *arguments: str,
    data_dir: Path | None,
    port: int | None = None,
    options: Mapping[str, str] = NO_OPTIONS,
    flags: Mapping[str, bool] = NO_FLAGS,
) -> NoReturn:
    """Replace this process: signals, the terminal and the exit code are then the operator's own."""
    given = {"--data-dir": data_dir, "--port": port, **options}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    command = operator_command(verb, *arguments, *words, *(flag for flag, is_set in flags.items() if is_set))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606  the same interpreter, arguments built here


def operator_command(*words: str) -> list[str]:
    """The command line of the operator's program."""
    return [sys.executable, "-P", "-m", "runners", *words]
