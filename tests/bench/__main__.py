"""`make bench`: every section of one run, side by side, on servers of its own below a temporary directory.

SCALE=small measures less, ROWS=append,http only those sections, BENCH_JSON=FILE also writes the rows as JSON.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.machine import facts
from tests.bench.report import print_report, write_json
from tests.bench.stand import SCALES, Stand

REASON_LENGTH_MAX = 500


class Section(NamedTuple):
    """A name to ask for, and the module whose `measure(stand)` answers its rows."""

    name: str
    module: str


SECTIONS = (
    Section("append", "tests.bench.appends"),
    Section("http", "tests.bench.commands"),
    Section("visible", "tests.bench.visible"),
    Section("rebuild", "tests.bench.replaying"),
    Section("growth", "tests.bench.growth"),
    Section("lists", "tests.bench.lists"),
    Section("http-lists", "tests.bench.http_lists"),
    Section("sealing", "tests.bench.sealing"),
    Section("workspaces", "tests.bench.placement"),
    Section("sdk", "tests.bench.sdk"),
    Section("idle", "tests.bench.idle"),
)


def main() -> int:
    wanted = os.environ.get("ROWS", "")
    scale = os.environ.get("SCALE", "full")
    names = [section.name for section in SECTIONS]
    asked = wanted.split(",") if wanted else names
    if unknown := [name for name in asked if name not in names]:
        print(f"ROWS: there is no {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    if scale not in SCALES:
        print(f"SCALE: {scale} is none of {', '.join(SCALES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started ends with us
    with Stand(SCALES[scale]) as stand:
        machine = facts(stand)
        all_ended_well = run(stand, [section for section in SECTIONS if section.name in asked])
        print_report(stand.measured, machine=machine, skipped=stand.skipped)
        if target := os.environ.get("BENCH_JSON"):
            write_json(Path(target), stand.measured, machine=machine, skipped=stand.skipped)
    return 0 if all_ended_well else 1


def run(stand: Stand, sections: Sequence[Section]) -> bool:
    """One after another; what they answer gathers in the stand. One that fails does not cost the others their rows:
    it is named in the report, and the answer is False."""
    all_ended_well = True
    for section in sections:
        try:
            module = importlib.import_module(section.module)
        except ModuleNotFoundError as error:
            if error.name != section.module:
                raise
            stand.skipped.append(f"{section.name}: there is no {section.module}")
            continue
        started = time.monotonic()
        try:
            stand.measured[section.name] = module.measure(stand)
        except Exception as error:
            traceback.print_exc()
            stand.skipped.append(f"{section.name}: it failed: {type(error).__name__}: {error}"[:REASON_LENGTH_MAX])
            all_ended_well = False
        print(f"{section.name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return all_ended_well


if __name__ == "__main__":
    sys.exit(main())
