"""How the command line says that a proof does not hold: by name, by position, with exit code 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure

if TYPE_CHECKING:
    from everline.proof.verify import Broken


class NotVerified(CommandFailure):
    """Something is not what was signed; `position` is the first that it may concern."""

    exit_code = ExitCode.VERIFICATION

    def __init__(self, broken: Broken, *, log: str | None = None) -> None:
        self.code, self.broken, self.log = broken.code, broken, log
        where = "" if broken.position is None else f"; first bad position: {broken.position}"
        super().__init__(broken.message + where)

    def problem(self) -> dict[str, Any]:
        where = {"position": self.broken.position, "last_position": self.broken.last, "log": self.log}
        return {**super().problem(), **{name: value for name, value in where.items() if value is not None}}


@contextmanager
def reporting(*, log: str | None = None) -> Iterator[None]:
    """What is broken, as the failure of the command."""
    from everline.proof.verify import Broken

    try:
        yield
    except Broken as broken:
        raise NotVerified(broken, log=log) from broken
