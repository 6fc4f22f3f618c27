"""What errors look like, and which exit codes they have."""

from __future__ import annotations

import json

import pytest

from everline.cli import failures
from everline.cli.exit_codes import ExitCode, for_status

PROBLEM = {
    "code": "not_found",
    "status": 404,
    "detail": "there is no stack 'prd'",
    "hint": "everline stack list",
    "suggestions": ["prod"],
    "request_id": "019ab0",
}


def test_what_why_next() -> None:
    lines = ["".join(text for text, _ in line) for line in failures.described(PROBLEM)]
    assert lines == [
        "error: there is no stack 'prd' (not_found)",
        "  next  did you mean prod?",
        "  next  everline stack list",
        "  request 019ab0",
    ]


def test_json_is_the_problem_itself(capsys: pytest.CaptureFixture[str]) -> None:
    failures.report(PROBLEM, as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == PROBLEM


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "list", "-o", "json"], True),
        (["run", "list", "-ojson"], True),
        (["run", "list", "--output=json"], True),
        (["run", "list", "--output", "yaml"], False),
        (["run", "list"], False),
        (["run", "list", "-o"], False),
    ],
)
def test_json_errors_when_json_was_asked_for(arguments: list[str], expected: bool) -> None:
    assert failures.wants_json(arguments) is expected


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.USAGE),
        (401, ExitCode.LOGIN),
        (403, ExitCode.FORBIDDEN),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.CONFLICT),
        (412, ExitCode.CONFLICT),
        (422, ExitCode.USAGE),
        (500, ExitCode.SERVER),
        (503, ExitCode.SERVER),
    ],
)
def test_exit_codes(status: int, code: ExitCode) -> None:
    assert for_status(status) is code
