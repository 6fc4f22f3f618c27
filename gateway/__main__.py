"""`python -m gateway`: see `program.py`, which is imported once it is said what stays unloaded."""

from __future__ import annotations

import sys

from ledger.unloaded import leave_unloaded


def main() -> int:
    """Serves until SIGTERM or SIGINT. Answers the exit code."""
    leave_unloaded()
    from gateway.program import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
