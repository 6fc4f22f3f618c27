"""`python -m tests.acceptance.chaos --faults 200 [--seed N]`: the long run. The seed is printed first; a run with
findings keeps its directory with every log, and ends with exit status 1."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import structlog

from tests.acceptance.chaos.campaign import run

SEED_BITS = 32


def main() -> int:
    """Runs once."""
    words = argparse.ArgumentParser(prog="chaos", description=__doc__)
    words.add_argument("--seed", type=int, default=secrets.randbits(SEED_BITS))
    words.add_argument("--faults", type=int, default=200)
    given = words.parse_args()
    print(f"seed {given.seed}, {given.faults} faults", flush=True)
    quieten()
    root = Path(tempfile.mkdtemp(prefix="everline-chaos-"))  # short: sockets lie in it
    report = asyncio.run(run(root, seed=given.seed, faults=given.faults, tell=lambda line: print(line, flush=True)))
    print(report.summary())
    if report.findings:
        (root / "summary.txt").write_text("\n".join([report.summary(), *report.findings, *report.happened]))
        print(f"logs: {root}")
        return 1
    shutil.rmtree(root)
    return 0


def quieten() -> None:
    """The follower in this process tells of every loss, and there are many."""
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


if __name__ == "__main__":
    sys.exit(main())
