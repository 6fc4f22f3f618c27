"""Writes a bundle: events with everything that is needed to check them offline. Whole or not there at all."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from everline.proof import verify
from everline.proof.verify import FORMAT, Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everline.proof.log import Log

HERE = Path(__file__).parent
FILES = ("VERIFY.md", "verify.py", "bundle.json", "checkpoint.txt", "key.txt", "hashes.txt", "events.jsonl")


def write_bundle(log: Log, target: Path, *, first: int, last: int | None) -> dict[str, object]:
    """Writes the positions from `first` to `last` (or to the last sealed one) and checks what was written.

    `target` is a directory to be made, or a .zip file. Raises FileExistsError when it is there already, Broken when
    the server's events are not what was sealed: then nothing is left behind."""
    if target.exists():
        raise FileExistsError(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write(log, scratch, first=first, last=last)
        found = verify.check_bundle(scratch)
        if target.suffix == ".zip":
            _pack(scratch, target)
        else:
            scratch.chmod(0o755)
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return found


def _write(log: Log, directory: Path, *, first: int, last: int | None) -> None:
    key, checkpoint = log.key(), log.checkpoint(covering=last)
    checkpoint.verify(key)
    last = checkpoint.size if last is None else last
    size = checkpoint.size
    claim = {
        "format": FORMAT,
        "origin": checkpoint.origin,
        "from": first,
        "to": last,
        "size": size,
        "frontier": _encoded(log.frontier(first - 1)),
        "consistency": _encoded(log.consistency(last, size)),
    }
    (directory / "bundle.json").write_text(json.dumps(claim, indent=2) + "\n")
    (directory / "checkpoint.txt").write_text(checkpoint.note)
    (directory / "key.txt").write_text(key.text + "\n")
    for name in ("VERIFY.md", "verify.py"):
        shutil.copyfile(HERE / name, directory / name)
    _write_events(log, directory, first=first, last=last, size=size)


def _write_events(log: Log, directory: Path, *, first: int, last: int, size: int) -> None:
    expected = first
    with (directory / "events.jsonl").open("wb") as events, (directory / "hashes.txt").open("wb") as hashes:
        for position, entry, sealed in log.entries(first, last, size=size):
            if position != expected or verify.leaf_hash(entry) != sealed:
                raise _changed(expected)
            events.write(entry + b"\n")
            hashes.write(base64.b64encode(sealed) + b"\n")
            expected += 1
    if expected != last + 1:
        raise _changed(expected)


def _changed(position: int) -> Broken:
    return Broken("event_changed", f"the event at position {position} is not what was sealed", position=position)


def _pack(directory: Path, target: Path) -> None:
    """The .zip file, under another name until it is whole."""
    packed = directory / target.name
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(directory / name, name)
    packed.rename(target)


def _encoded(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in hashes]
