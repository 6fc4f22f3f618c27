"""The demo's last act: its history, exported, is checked by a Python that knows nothing of Everline."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from everline.proof.bundle import write_bundle
from everline.proof.log import Log

if TYPE_CHECKING:
    from everline.client import Client
    from everline.demo.acts import Journal
    from everline.demo.narrator import Narrator

VERIFIED, NOT_VERIFIED = 0, 3


def prove_to_strangers(client: Client, narrator: Narrator, journal: Journal) -> None:
    """Export, check, change one word, check again."""
    narrator.section(
        "The proof that needs no trust",
        "History is sealed under signed checkpoints; whoever gets a copy checks it with Python's standard library.",
    )
    with tempfile.TemporaryDirectory() as directory:
        bundle = Path(directory) / "bundle"
        narrator.command(f"everline export --to {journal.mistaken} --out bundle")
        with narrator.working("exporting"):
            found = write_bundle(Log(client, client.workspace), bundle, first=1, last=journal.mistaken)
        code, said = checked(bundle)
        narrator.check(
            "a stranger verifies every event", code == VERIFIED, f"{found['events']} events, python3 verify.py"
        )
        events = bundle / "events.jsonl"
        lines = events.read_bytes().splitlines(keepends=True)
        lines[journal.mistaken - 1] = lines[journal.mistaken - 1].replace(b'"actor":"', b'"actor":"not-', 1)
        events.write_bytes(b"".join(lines))
        code, said = checked(bundle)
        named = code == NOT_VERIFIED and f"first bad position: {journal.mistaken}" in said
        narrator.check("one changed word is named by its position", named, f"position {journal.mistaken}")


def checked(bundle: Path) -> tuple[int, str]:
    """What the bundle's own checker says, in a Python without any packages."""
    command = [sys.executable, "-I", "-S", str(bundle / "verify.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
