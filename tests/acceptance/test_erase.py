"""`everline person` and `everline erase person` on a running system, and a search of all that it keeps."""

from __future__ import annotations

import stat
from pathlib import Path

from ledger.personal import ERASED
from runners.embedded import DATABASE, OWNER, EmbeddedPostgres
from tests.acceptance.conftest import Everline
from tests.support.people import EMAIL, HANDLE, NAME, NEW_NAME, everything_in, traces_in


def test_a_person_is_held_then_erased_everywhere(everline: Everline) -> None:
    everline.run("person", "register", HANDLE, "--name", NAME, "--email", EMAIL)
    everline.run("person", "update", EMAIL, "--name", NEW_NAME)
    before = everline.json("events", "list", "-w", "control", "--kind", "person")["items"][0]["position"]
    person = everline.json("person", "show", HANDLE)["id"]

    everline.run("person", "hold", HANDLE, "--matter", "case 7", "--reason", f"because of {NAME}")
    problem = everline.problem("erase", "person", HANDLE, "--reason", "ticket 12", "--yes", code=7)
    assert (problem["code"], problem["matters"]) == ("under_legal_hold", ["case 7"])
    everline.run("person", "release", HANDLE, "--matter", "case 7")
    assert everline.run("erase", "person", HANDLE, "--reason", "ticket 12", code=2).stderr
    named = everline.problem("erase", "person", HANDLE, "--reason", f"asked by {EMAIL}", "--yes", code=2)
    assert named["code"] == "reason_names_person"

    assert person in everline.run("erase", "person", EMAIL, "--reason", "ticket 12", "--yes").stdout
    assert "nothing to change" in everline.run("erase", "person", person, "--reason", "again", "--yes").stdout

    shown = everline.json("person", "show", person)
    assert [shown[field] for field in ("handle", "name", "email", "status")] == [ERASED, ERASED, ERASED, "erased"]
    assert everline.json("person", "show", person, "--as-of", str(before))["name"] == ERASED
    assert everline.json("person", "list")["items"][0]["name"] == ERASED
    everline.run("person", "history", person)
    everline.run("replay", "--verify", "-w", "control")
    assert everline.problem("person", "update", person, "--name", "X", code=7)["code"] == "person_erased"

    data = everline.directory.parent / "data"
    assert stat.S_IMODE((data / "keys" / "master.key").stat().st_mode) == 0o600
    assert traces_in(everything_in(EmbeddedPostgres(data).dsn(OWNER, DATABASE))) == {}
    assert traces_in(files_in(data, "nats", "logs", "run", "artifacts") | files_in(everline.directory, ".")) == {}


def files_in(root: Path, *folders: str) -> dict[str, str]:
    """Every file below these folders, whatever it holds, as text."""
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes().decode(errors="replace") for path in files}
