"""An installation over two PostgreSQLs, used as an operator would: workspaces are created on one, moved to the other
with everything running, listed and dropped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.installations import Everline
from tests.support.servers import Database, PostgresServer
from tests.support.waiting import eventually

COMMAND_SECONDS_MAX = 60


@pytest.fixture
def there(eu: PostgresServer) -> Iterator[Database]:
    made = eu.create_empty_database()
    yield made
    eu.drop_database(made.name)


@pytest.fixture
def everline(there: Database) -> Iterator[Everline]:
    parent = Path(tempfile.mkdtemp(prefix="everline-placed-"))  # short: sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERLINE_DSNS", f"eu={there.app_dsn}")
        patch.setenv("EVERLINE_OWNER_DSNS", f"eu={there.owner_dsn}")
        system = Everline(parent / "data")
        system.up()
        yield system
        system.down()
    shutil.rmtree(parent)


def run(everline: Everline, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`everline WORDS`, which must end with `code`."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "everline"), *words],
        env={**os.environ, "EVERLINE_URL": everline.url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def placements(everline: Everline) -> dict[str, dict[str, Any]]:
    listed = run(everline, "placement", "list", "--data-dir", str(everline.data_dir), "-o", "json")
    return {row["alias"]: row for row in json.loads(listed.stdout)}


def shown(everline: Everline, name: str) -> list[str]:
    """The pipelines of a workspace, as its query tables have them."""
    answer = httpx2.get(f"{everline.url}/v1/workspaces/{name}/pipelines", timeout=30)
    return [row["name"] for row in answer.json().get("items", [])]


@pytest.mark.timeout(240)
def test_a_workspace_is_created_moved_listed_and_dropped(everline: Everline) -> None:
    at = ("--data-dir", str(everline.data_dir))
    run(everline, "workspace", "create", "team", "--on", "eu", "--schema", "pool")
    assert "mars" in run(everline, "workspace", "create", "lost", "--on", "mars", code=2).stderr
    register = f"{everline.url}/v1/workspaces/team/commands/register-pipeline"
    assert httpx2.post(register, json={"name": "digits"}, timeout=30).status_code == 200
    eventually(lambda: shown(everline, "team") == ["digits"])
    found = placements(everline)
    assert (found["eu"]["state"], found["eu"]["workspaces"], found["eu"]["events"]) == ("ok", 1, 1)
    moved = run(everline, "workspace", "move", "team", "--to", "main", *at)
    assert "writers waited" in moved.stdout
    assert httpx2.post(register, json={"name": "words"}, timeout=30).status_code == 200
    eventually(lambda: sorted(shown(everline, "team")) == ["digits", "words"])
    row = json.loads(run(everline, "workspace", "show", "team", "-o", "json").stdout)
    assert (row["placed_on"], row["pool_schema"], row["moving_to"]) == ("main", None, None)
    assert "already" in run(everline, "workspace", "move", "team", "--to", "main", *at, code=7).stderr
    run(everline, "placement", "drop", "team", "--on", "eu", *at)
    run(everline, "placement", "drop", "team", "--on", "main", *at, code=7)
    moved = run(everline, "workspace", "move", "team", "--to", "eu", "--drop-source", *at)
    assert "was deleted" in moved.stdout
    eventually(lambda: sorted(shown(everline, "team")) == ["digits", "words"])
    found = placements(everline)
    assert (found["eu"]["workspaces"], found["main"]["left"], found["main"]["moving"]) == (1, 1, 0)
