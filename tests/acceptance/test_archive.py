"""`everline archive` on a running system: old positions leave the ledger, nobody notices, and they come back."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.acceptance.conftest import Everline
from tests.support.waiting import eventually


def test_archiving_and_restoring_from_the_command_line(everline: Everline, tmp_path: Path) -> None:
    team, data = f"team-{uuid.uuid4().hex[:12]}", str(everline.directory.parent / "data")
    store = tmp_path / "store"
    everline.run("workspace", "create", team)
    for number in range(5):
        everline.run("tag", "create", f"t{number}", "-w", team)
    before = everline.json("events", "list", "-w", team)["items"]

    words = ("archive", "create", "-w", team, "--to", f"file://{store}", "--data-dir", data)
    eventually(lambda: "archived" in everline.attempt(*words, "--before", "5"))

    assert [file.name for file in store.rglob("*.parquet")] == ["events-000000000001.parquet"]
    assert everline.json("events", "list", "-w", team)["items"] == before
    everline.run("replay", "--verify", "-w", team)
    everline.run("tag", "update", "t1", "--color", "red", "-w", team)
    made = everline.json("archive", "list")["items"][0]
    assert (made["first_position"], made["last_position"], made["status"]) == (1, 4, "archived")

    assert "nothing_to_archive" in everline.attempt(*words, "--before", "5")
    assert "as_of_beyond_head" in everline.attempt(*words, "--before", "999")
    everline.process("archive", "restore", made["id"], "--data-dir", data)
    assert everline.json("archive", "show", made["id"])["status"] == "restored"
    assert "archive_restored" in everline.attempt("archive", "restore", made["id"], "--data-dir", data)
