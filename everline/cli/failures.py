"""What a person reads and what the shell gets when a command cannot do its work.

Three lines: what happened, why, what to do next; with `-o json` the RFC 9457 problem instead, also on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from everline.cli.exit_codes import ExitCode, for_status

if TYPE_CHECKING:
    from everline.errors import EverlineError


class CommandFailure(Exception):
    """The command line itself found out that it cannot go on."""

    code = "command_failed"
    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message)

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 document."""
        return {
            "type": f"urn:everline:problem:{self.code}",
            "title": self.code.replace("_", " "),
            "detail": self.message,
            "code": self.code,
            "hint": self.hint,
            "retryable": False,
        }


class UsageFailure(CommandFailure):
    """A value on the command line is not understood, or a question cannot be asked without a terminal."""

    code = "usage"
    exit_code = ExitCode.USAGE


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors go out as JSON. Read from the bare arguments: a usage error comes before they are parsed."""
    for number, argument in enumerate(arguments):
        following = arguments[number + 1] if number + 1 < len(arguments) else ""
        match argument.split("=", 1):
            case ["-o" | "--output"]:
                return following == "json"
            case ["--output" | "-o", value]:
                return value == "json"
            case [short] if short.startswith("-o") and not short.startswith("--"):
                return short == "-ojson"
    return os.environ.get("EVERLINE_OUTPUT") == "json"


def report(problem: dict[str, Any], *, as_json: bool) -> None:
    """Write a problem to stderr."""
    if as_json:
        sys.stderr.write(json.dumps(problem, ensure_ascii=False, indent=2, default=str) + "\n")
        return
    from everline.cli.terminal import print_lines

    print_lines(described(problem), stderr=True)


def described(problem: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """What, why, what next, and what an operator would ask for."""
    code = problem.get("code", "")
    lines = [
        [
            ("error: ", "bold red"),
            (str(problem.get("detail") or problem.get("title") or code), ""),
            (f" ({code})", "dim"),
        ]
    ]
    lines += [[("  why   ", "dim"), (why, "")] for why in _reasons(problem)]
    suggestions = problem.get("suggestions")
    if suggestions and "did you mean" not in str(problem.get("detail")):
        lines.append([("  next  ", "dim"), (f"did you mean {' or '.join(map(str, suggestions))}?", "")])
    if hint := problem.get("hint"):
        lines.append([("  next  ", "dim"), (str(hint), "")])
    if request_id := problem.get("request_id"):
        lines.append([("  request ", "dim"), (str(request_id), "dim")])
    return lines


LOCAL_CODES = {
    "invalid_configuration": ExitCode.USAGE,
    "invalid_parameter": ExitCode.USAGE,
    "invalid_pipeline": ExitCode.USAGE,
    "stack_not_usable": ExitCode.USAGE,
    "integrity_violated": ExitCode.VERIFICATION,
    "server_unreachable": ExitCode.SERVER,
}


def exit_code_of(error: EverlineError) -> ExitCode:
    """The exit code for an error of the SDK: by the server's status, or by what was found out here."""
    if error.status:
        return for_status(error.status)
    if type(error.__cause__).__name__ == "ReadTimeout":  # named, not imported: the HTTP client loads only when used
        return ExitCode.TIMEOUT
    return LOCAL_CODES.get(error.code, ExitCode.FAILED)


def _reasons(problem: dict[str, Any]) -> list[str]:
    """Fields of the refusal that say more than its text does."""
    reasons = []
    if allowed := problem.get("allowed"):
        reasons.append(f"allowed: {', '.join(map(str, allowed))}")
    if (index := problem.get("index")) is not None:
        reasons.append(f"it is command {index} of the batch; nothing of the batch was done")
    return reasons
