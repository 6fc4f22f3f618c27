"""Two real deployments: one is verified, exported, tampered with and at last rewritten; the other is its witness."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger.signing import KeyFile
from runners.data_directory import DataDirectory
from runners.embedded import DATABASE, OWNER, EmbeddedPostgres
from tests.acceptance.conftest import Everline
from tests.support.installations import Everline as Installation
from tests.support.sealing import Usurper
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)
TAGS = 6


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """A deployment of our own, whose database may be damaged."""
    directory = Path(tempfile.mkdtemp(prefix="everline-proof-"))
    directory.chmod(0o755)
    made = Installation(directory / "data")
    made.up()
    yield made
    made.run("down")
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def ours(installation: Installation) -> Everline:
    """Its command line, with some history behind it."""
    home = installation.data_dir.parent / "home"
    home.mkdir()
    ours = Everline(installation.url, home)
    for number in range(TAGS):
        ours.run("tag", "create", f"t{number}")
    sealed(ours)
    return ours


def sealed(ours: Everline) -> None:
    """Waits until every event is under a signed checkpoint."""
    eventually(lambda: all(row["position"] == row["size"] for row in logs(ours)))


def logs(ours: Everline) -> list[dict[str, Any]]:
    import httpx2

    items: list[dict[str, Any]] = httpx2.get(f"{ours.url}/v1/log/workspaces").raise_for_status().json()["items"]
    return items


def default_workspace(ours: Everline) -> UUID:
    [found] = [row for row in ours.json("workspace", "list")["items"] if row["name"] == "default"]
    return UUID(found["id"])


@contextmanager
def administrator(installation: Installation) -> Iterator[psycopg.Connection[Any]]:
    """A superuser of the deployment's PostgreSQL, for whom no trigger fires."""
    dsn = EmbeddedPostgres(installation.data_dir).dsn(OWNER, DATABASE)
    with psycopg.connect(dsn, autocommit=True, options="-c TimeZone=UTC") as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def test_a_running_system_verifies_by_proofs_and_by_every_row(ours: Everline, installation: Installation) -> None:
    rows = ours.json("verify", "--data-dir", str(installation.data_dir))
    assert {row["code"] for row in rows} == {None}
    assert [row["check"] for row in rows] == ["proofs"] * 3 + ["every event"] * 3
    assert max(row["events"] or 0 for row in rows) >= TAGS + 3
    done = ours.run("verify", "--data-dir", str(installation.data_dir))
    assert "verified: no event was changed" in done.stderr
    assert installation.run("verify").returncode == 0


def test_a_stranger_checks_an_exported_bundle_with_python_alone(ours: Everline) -> None:
    ours.run("export", "--from", "4", "--to", "8", "--out", "bundle")
    key = ours.json("witness", "key")["key"]
    script = ours.directory / "bundle" / "verify.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "--key", key],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "positions 4 to 8" in done.stdout
    assert "python3 verify.py" in (ours.directory / "bundle" / "VERIFY.md").read_text()
    ours.run("verify", "bundle", "--key", key)

    events = ours.directory / "bundle" / "events.jsonl"
    events.write_bytes(events.read_bytes().replace(b'"position":6', b'"position":7'))
    problem = ours.problem("verify", "bundle", "--key", key, code=3)
    assert (problem["code"], problem["position"]) == ("event_changed", 6)


def test_bad_input_of_export_and_verify_is_named_and_leaves_nothing(ours: Everline, everline: Everline) -> None:
    ours.run("export", "--out", "whole.zip")
    assert ours.problem("export", "--out", "whole.zip", code=1)["code"] == "output_exists"
    assert ours.problem("export", "--to", "999999", "--out", "x.zip", code=2)["code"] == "as_of_beyond_head"
    ours.run("export", "--from", "5", "--to", "4", "--out", "x.zip", code=2)
    damage(ours.directory)
    assert ours.problem("verify", "corrupt.zip", code=3)["code"] == "bundle_unreadable"
    assert ours.problem("verify", "short.zip", code=3)["code"] == "bundle_unreadable"
    assert ours.problem("verify", "nowhere.zip", code=3)["code"] == "bundle_unreadable"
    other = everline.json("witness", "key")["key"]
    assert ours.problem("verify", "whole.zip", "--key", other, code=3)["code"] == "checkpoint_foreign"
    assert ours.problem("verify", "whole.zip", "--key", "nonsense", code=3)["code"] == "key_malformed"
    assert not (ours.directory / "x.zip").exists()
    assert not list(ours.directory.glob(".*zip*"))


def damage(directory: Path) -> None:
    """Of whole.zip: one with a flipped bit in its events, one that is cut off."""
    content = bytearray((directory / "whole.zip").read_bytes())
    (directory / "short.zip").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(directory / "whole.zip") as archive:
        content[archive.getinfo("events.jsonl").header_offset + 100] ^= 1
    (directory / "corrupt.zip").write_bytes(content)


def test_a_changed_event_is_found_by_its_position(ours: Everline, installation: Installation) -> None:
    workspace = default_workspace(ours)
    change = "UPDATE ledger.events SET actor = %s WHERE workspace_id = %s AND position = 5"
    with administrator(installation) as connection:
        [(actor,)] = connection.execute(
            "SELECT actor FROM ledger.events WHERE workspace_id = %s AND position = 5", (workspace,)
        ).fetchall()
        connection.execute(change, ("user:eve", workspace))
        done = ours.run("verify", "--data-dir", str(installation.data_dir), code=3)
        assert "first bad position 5" in done.stderr
        assert ours.problem("export", "--out", "bad.zip", code=3)["position"] == 5
        connection.execute(change, (actor, workspace))
    ours.run("verify", "--data-dir", str(installation.data_dir))


def test_a_witness_takes_what_extends_and_refuses_a_fork(
    ours: Everline, everline: Everline, installation: Installation
) -> None:
    witness = everline
    refused = ours.problem("witness", "push", witness.url, code=6)
    assert refused["code"] == "log_unknown"
    witness.run("witness", "watch", ours.json("witness", "key")["key"])
    pushed = ours.json("witness", "push", witness.url)
    assert {row["code"] for row in pushed} == {None}
    assert all(row["cosignature"].startswith("— everline-") for row in pushed)
    ours.run("tag", "create", "one-more")
    sealed(ours)
    assert {row["code"] for row in ours.json("witness", "push", witness.url)} == {None}
    seen = {row["origin"]: row["size"] for row in witness.json("witness", "list")["items"]}
    assert seen == {row["log"]: row["size"] for row in ours.json("witness", "push", witness.url)}

    workspace = default_workspace(ours)
    key = KeyFile(DataDirectory(installation.data_dir).signing_key)
    with administrator(installation) as connection:
        usurper = Usurper(connection, key)
        usurper.rewrite(
            workspace, "UPDATE ledger.events SET actor = 'user:eve' WHERE workspace_id = %s AND position = 5"
        )
    # The sealer that is running has seen the true checkpoints and signs nothing that contradicts them.
    ours.run("tag", "create", "after-the-fork")
    eventually(lambda: "checkpoint_rewritten" in {row["refused_code"] for row in logs(ours)})
    pid = installation.kill("sealer")
    installation.wait_until_restarted("sealer", was=pid)
    sealed(ours)

    rows = ours.json("witness", "push", witness.url, code=3)
    forked = {row["log"]: row["code"] for row in rows if row["code"]}
    assert set(forked.values()) == {"checkpoint_inconsistent"}
    assert any(log.endswith(str(workspace)) for log in forked)
    evidence = witness.json("witness", "list", "--refused")["items"]
    assert {row["origin"] for row in evidence} == set(forked)
    # This machine remembers as well; one that has never seen the truth cannot tell, and the README says so.
    codes = {row["code"] for row in ours.json("verify", "--data-dir", str(installation.data_dir), code=3)}
    assert codes == {None, "history_rewritten"}
    ours.run("verify", "--data-dir", str(installation.data_dir), XDG_STATE_HOME=str(ours.directory / "stranger"))
