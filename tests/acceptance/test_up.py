"""`up`, `down` and `status` with every real process: they start, survive kill -9, end, and refuse by name."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.data_directory import FREE_BYTES_MIN
from runners.embedded import free_port
from tests.support.installations import Everline

COMPONENTS = ["supervisor", "postgres", "nats", "gateway", "relay", "projector", "sealer"]
EXIT_USAGE, EXIT_SERVER_ERROR = 2, 8

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def parent() -> Iterator[Path]:
    """Where the data directories of this file lie."""
    made = Path(tempfile.mkdtemp(prefix="everline-up-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def shared(parent: Path) -> Iterator[Everline]:
    """One installation, initialised once."""
    installation = Everline(parent / "shared")
    yield installation
    installation.down()


@pytest.fixture
def everline(shared: Everline) -> Everline:
    """The shared installation, running."""
    shared.up()
    return shared


@pytest.fixture
def fresh(parent: Path, request: pytest.FixtureRequest) -> Iterator[Everline]:
    """A data directory that does not exist yet."""
    installation = Everline(parent / request.node.name)
    yield installation
    if (installation.data_dir / "everline.json").exists() and (installation.data_dir / "run").exists():
        installation.run("down")


def test_everything_runs_and_says_so(everline: Everline) -> None:
    status = everline.status()

    assert list(status["components"]) == COMPONENTS
    assert status["running"]
    assert status["url"] == everline.url
    assert everline.is_ready()


def test_the_sdk_finds_the_gateway(everline: Everline) -> None:
    note = json.loads((everline.data_dir / "run" / "gateway.json").read_text())

    assert note == {"url": everline.url, "pid": everline.pid("gateway")}


def test_the_table_names_every_component(everline: Everline) -> None:
    shown = everline.run("status")

    assert shown.returncode == 0
    assert all(name in shown.stdout for name in COMPONENTS)


def test_the_status_says_how_far_the_query_tables_are(everline: Everline) -> None:
    projections = everline.status()["projections"]

    assert {row["workspace"]: row["state"] for row in projections["items"]} == {"control": "live", "default": "live"}
    assert "QUERY TABLES" in everline.run("status").stdout


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_second_up_says_what_runs(everline: Everline, detach: list[str]) -> None:
    pid = everline.pid("supervisor")

    second = everline.run("up", *detach)

    assert second.returncode == 0, second.stderr
    assert everline.url in second.stdout
    assert str(pid) in second.stdout
    assert everline.pid("supervisor") == pid


@pytest.mark.parametrize("name", ["postgres", "nats", "gateway", "relay", "projector", "sealer"])
def test_a_killed_component_comes_back(everline: Everline, name: str) -> None:
    killed = everline.kill(name)

    everline.wait_until_restarted(name, was=killed)

    note = json.loads((everline.data_dir / "run" / "gateway.json").read_text())
    assert note["pid"] == everline.pid("gateway")


def test_after_the_supervisor_is_killed_up_works_again(everline: Everline) -> None:
    killed = everline.kill("supervisor")

    everline.up()

    everline.wait_until_restarted("supervisor", was=killed)


def test_down_ends_what_a_killed_supervisor_left(everline: Everline) -> None:
    everline.kill("supervisor")

    everline.down()

    assert not everline.processes()


def test_down_leaves_no_process_and_no_note(everline: Everline) -> None:
    assert everline.processes()

    everline.down()

    assert not everline.processes()
    assert not (everline.data_dir / "run" / "gateway.json").exists()
    assert not everline.status()["running"]
    assert everline.run("down").returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_foreground_cleanly(shared: Everline, sign: signal.Signals) -> None:
    shared.down()
    command = [*shared.command("up"), "--port", str(shared.port)]
    with subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True) as process:
        shared.wait_until_running()
        process.send_signal(sign)
        printed, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert not shared.processes()
    stopped = [line.split()[0] for line in printed.splitlines() if "stopped" in line]
    assert stopped == ["sealer", "projector", "relay", "gateway", "nats", "postgres"]


def test_a_component_that_keeps_dying_stops_everything_with_an_error(everline: Everline) -> None:
    everline.down()
    mark = everline.data_dir / "postgres" / "global" / "pg_control"
    mark.rename(mark.with_name("pg_control.away"))
    try:
        failed = everline.run("up", "--detach", "--port", str(everline.port))

        assert failed.returncode == EXIT_SERVER_ERROR
        assert "[component_failed]" in failed.stderr
        assert "pg_control" in failed.stderr  # the log's end
        status = everline.status()
        assert status["error"]["code"] == "component_failed"
        assert status["components"]["postgres"]["state"] == "failed"
        assert not everline.processes()
    finally:
        mark.with_name("pg_control.away").rename(mark)


def test_port_in_use(shared: Everline) -> None:
    shared.down()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for detach in ([], ["--detach"]):
            refused = shared.run("up", "--port", port, *detach)

            _assert_refused(refused, "port_in_use")
            assert port in refused.stderr


def test_a_file_in_place_of_the_directory(fresh: Everline) -> None:
    fresh.data_dir.write_text("mine")

    _assert_refused(fresh.run("up"), "data_dir_unreadable")

    assert fresh.data_dir.read_text() == "mine"


def test_a_file_above_the_directory(fresh: Everline) -> None:
    fresh.data_dir.write_text("mine")
    fresh.data_dir /= "below"

    _assert_refused(fresh.run("up"), "data_dir_unreadable")


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_directory_without_permission(fresh: Everline, mode: int) -> None:
    """Root may do everything, so this runs without its capabilities."""
    fresh.data_dir.mkdir(mode=mode)
    fresh.data_dir.chmod(mode)
    powerless = [] if os.geteuid() else ["/usr/bin/setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    command = [*powerless, *fresh.command("up")]

    refused = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=30, check=False)

    _assert_refused(refused, "data_dir_unreadable")


def test_a_foreign_directory_is_left_alone(fresh: Everline) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "thesis.tex").write_text("mine")

    for command in ("up", "status", "down"):
        _assert_refused(fresh.run(command), "data_dir_foreign")

    assert [path.name for path in fresh.data_dir.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("mark", [{"format": 2, "postgres_major": 18}, {"format": 1, "postgres_major": 19}])
def test_a_newer_directory_is_left_alone(fresh: Everline, mark: dict[str, int]) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "everline.json").write_text(json.dumps(mark))

    _assert_refused(fresh.run("up"), "data_dir_newer")

    assert [path.name for path in fresh.data_dir.iterdir()] == ["everline.json"]


def test_a_damaged_mark(fresh: Everline) -> None:
    fresh.data_dir.mkdir()
    (fresh.data_dir / "everline.json").write_text("{")

    _assert_refused(fresh.run("up"), "data_dir_unreadable")


def test_a_disk_without_room(fresh: Everline) -> None:
    fresh.data_dir.mkdir()
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={FREE_BYTES_MIN - 2**20}", "tmpfs", str(fresh.data_dir)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        _assert_refused(fresh.run("up"), "disk_full")
        assert not list(fresh.data_dir.iterdir())
    finally:
        subprocess.run(["/bin/umount", str(fresh.data_dir)], check=True)


def test_status_and_down_where_nothing_ever_ran(fresh: Everline) -> None:
    assert not fresh.status()["running"]
    assert fresh.run("down").returncode == 0
    assert not fresh.data_dir.exists()


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "http"], ["--colour"]])
def test_wrong_usage(fresh: Everline, options: list[str]) -> None:
    assert fresh.run("up", *options).returncode == EXIT_USAGE
    assert not fresh.data_dir.exists()


def test_a_path_too_long_for_a_socket(fresh: Everline) -> None:
    fresh.data_dir = fresh.data_dir / ("long-" * 20) / "data"
    fresh.port = free_port()

    fresh.up()

    socket_directory = Path(fresh.status()["components"]["postgres"]["address"])
    assert (socket_directory / ".s.PGSQL.5432").is_socket()
    fresh.down()
    socket_directory.rmdir()  # nothing is left in it


def _assert_refused(done: subprocess.CompletedProcess[str], code: str) -> None:
    assert done.returncode == EXIT_SERVER_ERROR, done.stdout + done.stderr
    assert f"[{code}]" in done.stderr
    assert len(done.stderr.splitlines()) == 1
