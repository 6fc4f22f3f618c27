"""The process's exit codes: part of the interface, documented in the README and tested."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may branch on."""

    OK = 0
    FAILED = 1  # the run or a check failed, or `diff` found differences
    USAGE = 2  # the command line, or a value in it, is not understood
    VERIFICATION = 3  # `replay --verify` found a difference
    LOGIN = 4
    FORBIDDEN = 5
    NOT_FOUND = 6
    CONFLICT = 7  # somebody else was faster, or holds what was asked for
    SERVER = 8  # unreachable, or a fault of the server
    TIMEOUT = 124
    INTERRUPTED = 130
    BROKEN_PIPE = 141  # the reader of stdout went away


BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.LOGIN,
    403: ExitCode.FORBIDDEN,
    404: ExitCode.NOT_FOUND,
    408: ExitCode.TIMEOUT,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
}


def for_status(status: int) -> ExitCode:
    """The exit code for a refused HTTP request."""
    return BY_STATUS.get(status, ExitCode.SERVER if status >= 500 else ExitCode.FAILED)
