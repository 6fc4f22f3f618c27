"""The command line against a running system: what is written where, exit codes, and forms of output."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import COMMAND_SECONDS_MAX, Everline
from tests.support.waiting import eventually

HANGING_SECONDS_MAX = 20
"""Far above the second that the server gets and the start of a process, far below the client's own patience."""


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def component(everline: Everline) -> str:
    """An artifact store of one's own."""
    name = fresh("store")
    everline.run(
        "component", "register", name, "--type", "artifact_store", "--flavor", "local", "--config", f"path=/srv/{name}"
    )
    return name


@pytest.fixture
def stack(everline: Everline, component: str) -> str:
    """A stack of one's own."""
    name = fresh("stack")
    everline.run(
        "stack",
        "register",
        name,
        "--component",
        "orchestrator=local-orchestrator",
        "--component",
        f"artifact_store={component}",
    )
    return name


@pytest.fixture
def model(everline: Everline) -> str:
    """A model of one's own."""
    name = fresh("model")
    everline.run("model", "register", name, "--description", "says no")
    return name


def test_a_list_is_data_on_stdout_in_every_form(everline: Everline, stack: str) -> None:
    only = ("--filter", f"name={stack}")
    page = everline.json("stack", "list", *only)
    assert set(page) == {"items", "as_of", "next"}
    assert [item["name"] for item in page["items"]] == [stack]
    assert everline.run("stack", "list", *only, "-o", "name").stdout == f"{stack}\n"
    heading, row = everline.run("stack", "list", *only, "--columns", "name,version").stdout.splitlines()
    assert (heading, row) == ("name\tversion", f"{stack}\t1")
    assert f"- id: {page['items'][0]['id']}" in everline.run("stack", "list", *only, "-o", "yaml").stdout


def test_the_form_can_come_from_the_environment(everline: Everline, stack: str) -> None:
    done = everline.run("stack", "list", "--filter", f"name={stack}", EVERLINE_OUTPUT="name")
    assert done.stdout == f"{stack}\n"


def test_count_limit_and_all(everline: Everline) -> None:
    prefix = fresh("many")
    for number in range(3):
        everline.run("tag", "create", f"{prefix}-{number}")
    only = ("--filter", f"name=startswith:{prefix}")
    assert everline.run("tag", "list", *only, "--count").stdout == "3\n"
    first = everline.run("tag", "list", *only, "--limit", "2", "--sort", "name", "-o", "name")
    assert first.stdout.split() == [f"{prefix}-0", f"{prefix}-1"]
    assert "--all" in first.stderr
    everything = everline.run("tag", "list", *only, "--all", "-o", "name")
    assert sorted(everything.stdout.split()) == [f"{prefix}-{number}" for number in range(3)]
    assert everything.stderr == ""


def test_a_change_shows_in_show_history_diff_and_as_of(everline: Everline, stack: str) -> None:
    before = everline.json("stack", "show", stack)
    other = fresh("store")
    everline.run(
        "component", "register", other, "--type", "artifact_store", "--flavor", "local", "--config", "path=/srv/o"
    )
    start = everline.json("stack", "show", stack)["as_of"]["position"]
    everline.run("stack", "update", stack, "--component", f"artifact_store={other}")
    after = everline.json("stack", "show", stack)
    assert after["components"]["artifact_store"] != before["components"]["artifact_store"]
    assert after["components"]["orchestrator"] == before["components"]["orchestrator"]

    past = everline.json("stack", "show", stack, "--as-of", str(start))
    assert past["components"] == before["components"]

    newest = everline.json("history", f"stack/{stack}")["items"][0]
    assert newest["types"] == ["stack.updated"]
    assert [change["field"] for change in newest["changes"]] == ["components"]
    assert everline.json("stack", "history", stack)["items"][0] == newest

    changed = everline.json("diff", str(start), code=1)["items"]
    assert [(item["kind"], item["name"], item["change"]) for item in changed] == [("stack", stack, "changed")]
    assert everline.json("diff", str(start), "--kind", "model")["items"] == []
    head = str(after["as_of"]["position"])
    assert everline.run("diff", head, head).stdout == ""


def test_rollback_plans_first_and_brings_back_what_was(everline: Everline, stack: str, component: str) -> None:
    before = everline.json("stack", "show", stack)
    everline.run("stack", "update", stack, "--description", "changed in haste")
    to = ("--to", str(before["as_of"]["position"]), f"stack/{stack}")
    planned = everline.run("rollback", "plan", *to).stdout
    assert f"stack/{stack}\tdescription\tchanged in haste" in planned

    refused = everline.run("rollback", "apply", *to, "--reason", "haste", code=2)
    assert "changed in haste" in refused.stderr
    assert "--yes" in refused.stderr
    assert everline.json("stack", "show", stack)["description"] == "changed in haste"

    applied = everline.json("rollback", "apply", *to, "--reason", "haste", "--yes")
    after = everline.json("stack", "show", stack)
    assert (after["description"], after["components"]) == (before["description"], before["components"])
    listed = everline.json("rollback", "list")["items"][0]
    assert (listed["id"], listed["reason"]) == (applied["id"], "haste")


def test_deleting_and_restoring(everline: Everline, stack: str) -> None:
    stack_id = everline.json("stack", "show", stack)["id"]
    everline.run("stack", "delete", stack)
    everline.problem("stack", "show", stack, code=6)
    everline.run("stack", "restore", stack_id)
    assert everline.json("stack", "show", stack)["id"] == stack_id


def test_components_are_updated_setting_by_setting(everline: Everline, component: str) -> None:
    everline.run("component", "update", component, "--description", "mine")
    assert everline.json("component", "show", component)["configuration"] == {"path": f"/srv/{component}"}
    everline.run("component", "update", component, "--config", "path=/srv/elsewhere")
    shown = everline.json("component", "show", component)
    assert (shown["configuration"], shown["description"]) == ({"path": "/srv/elsewhere"}, "mine")


def test_tags_go_on_and_off(everline: Everline, model: str) -> None:
    tag = fresh("tag")
    everline.run("tag", "create", tag, "--color", "green")
    everline.run("tag", "attach", tag, f"model/{model}")
    assert everline.json("model", "show", model)["tags"] == [tag]
    assert everline.run("model", "list", "--filter", f"tags=contains:{tag}", "-o", "name").stdout == f"{model}\n"
    everline.run("tag", "detach", tag, f"model/{model}")
    assert everline.json("model", "show", model)["tags"] == []


def test_events_are_filtered_and_shown_whole(everline: Everline, model: str) -> None:
    listed = everline.json("events", "list", "--entity", f"model/{model}")["items"]
    assert [event["type"] for event in listed] == ["model.registered"]
    event = everline.json("events", "show", str(listed[0]["position"]))
    assert event["data"]["name"] == model
    assert everline.json("events", "list", "--entity", f"model/{model}", "--type", "stack.*")["items"] == []
    me = everline.run("whoami").stdout.strip()
    assert {event["actor"] for event in everline.json("events", "list", "--actor", me, "--kind", "model")["items"]} == {
        me
    }


def test_tail_follows_from_a_position(everline: Everline, model: str) -> None:
    (event,) = everline.json("events", "list", "--entity", f"model/{model}")["items"]
    tailed = everline.run("events", "tail", "--after", str(event["position"] - 1), "--count", "1", "-o", "json").stdout
    assert json.loads(tailed)["event_id"] == event["event_id"]
    lines = everline.run("events", "tail", "--kind", "model", "--after", str(event["position"] - 1), "-n", "1").stdout
    assert lines.startswith(f"{event['position']}\t{event['recorded_at']}\t{event['actor']}\tmodel.registered\t")


def test_replay_says_equal(everline: Everline, model: str) -> None:
    done = everline.run("replay", "--verify")
    assert "equal" in done.stderr
    assert everline.json("replay", "--verify", "--until", "3")["equal"]
    assert everline.problem("replay", code=2)["code"] == "usage"


def test_workspaces_are_apart(everline: Everline, model: str) -> None:
    name = fresh("workspace")
    everline.run("workspace", "create", name)
    assert name in everline.run("workspace", "list", "-o", "name").stdout.split()
    assert everline.json("model", "list", "-w", name)["items"] == []
    everline.run("model", "register", model, "-w", name)
    assert len(everline.json("model", "list", "-w", name)["items"]) == 1
    everline.problem("model", "list", "-w", fresh("nowhere"), code=6)


def test_contexts_say_where_commands_go(everline: Everline) -> None:
    config = {"EVERLINE_CONFIG": str(everline.directory / f"{fresh('config')}.toml")}
    everline.run("context", "set", "here", "--url", everline.url, "--workspace", "default", **config)
    everline.run("context", "set", "nowhere", "--url", "http://127.0.0.1:9", **config)
    listed = json.loads(everline.run("context", "list", "-o", "json", **config).stdout)["items"]
    assert [(item["name"], item["active"]) for item in listed] == [("here", True), ("nowhere", False)]
    without = {**config, "EVERLINE_URL": ""}
    assert everline.run("info", "-o", "name", **without).stdout == f"{everline.url}\n"
    unreachable = everline.run("info", "-c", "nowhere", code=8, **without)
    assert "everline up" in unreachable.stderr
    everline.run("context", "use", "nowhere", **config)
    everline.run("stack", "list", code=8, **without)
    everline.run("context", "use", "elsewhere", code=6, **config)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("stack", "show", "no-such-stack"), 6, "not_found"),
        (("stak", "list"), 2, "usage"),
        (("stack", "list", "--limit", "0"), 2, "usage"),
        (("stack", "list", "--as-of", "yesterday"), 2, "usage"),
        (("stack", "list", "--as-of", "99999999"), 2, "as_of_beyond_head"),
        (("stack", "list", "--filter", "nmae=x"), 2, "invalid_filter"),
        (("stack", "list", "--filter", "name"), 2, "usage"),
        (("stack", "register", "x", "--component", "orchestrator=local-orchestrator"), 2, "stack_incomplete"),
        (("stack", "register", "x", "--component", "orchestrator=no-such"), 6, "not_found"),
        (("history", "stack"), 2, "usage"),
        (("history", "stak/prod"), 2, "usage"),
        (("model", "register", "a/b"), 2, "invalid_command"),
        (("stack", "update", "local"), 2, "usage"),
    ],
)
def test_refusals_are_problems_with_exit_codes(
    everline: Everline, words: tuple[str, ...], code: int, expected: str
) -> None:
    problem = everline.problem(*words, code=code)
    assert problem["code"] == expected
    for_people = everline.run(*words, code=code)
    assert for_people.stdout == ""
    assert for_people.stderr.startswith("error: ")
    assert "\x1b" not in for_people.stderr


def test_a_taken_name_is_a_conflict(everline: Everline, model: str) -> None:
    assert everline.problem("model", "register", model, code=7)["code"] == "name_taken"


def test_did_you_mean(everline: Everline, stack: str) -> None:
    assert f"did you mean {stack}?" in everline.run("stack", "show", f"{stack}x", code=6).stderr
    assert "Did you mean stack" in everline.run("stak", "list", code=2).stderr


def test_what_a_terminal_gets_is_aligned_coloured_and_whole(everline: Everline, stack: str) -> None:
    text = on_terminal(everline, "stack", "list", "--filter", f"name={stack}")
    assert "\x1b[1m" in text
    assert "orchestrator=local-orchestrator, artifact_store=store-" in text
    plain = on_terminal(everline, "stack", "list", "--filter", f"name={stack}", NO_COLOR="1")
    assert "\x1b[1m" not in plain
    assert "NAME" in plain


def on_terminal(everline: Everline, *words: str, **changed: str) -> str:
    """What a command writes to a terminal of 40 columns."""
    environment = {name: value for name, value in everline.environment.items() if name != "NO_COLOR"}
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "everline"), *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment | {"COLUMNS": "40", "TERM": "xterm"} | changed,
        cwd=everline.directory,
    )
    os.close(slave)
    text = b"".join(chunks(master)).decode()
    assert process.wait(COMMAND_SECONDS_MAX) == 0, text
    os.close(master)
    return text.replace("\r\n", "\n")


def chunks(descriptor: int) -> Iterator[bytes]:
    """Everything until the other side closes; Linux says so with EIO."""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


def test_the_shell_completes_names_from_the_server(everline: Everline, model: str) -> None:
    assert model in completions(everline, f"everline model show {model[:8]}")
    assert "register" in completions(everline, "everline model reg")
    assert "model-version" in completions(everline, "everline model-v")


def test_completion_without_a_server_is_quiet(everline: Everline) -> None:
    assert completions(everline, "everline stack show x", EVERLINE_URL="http://127.0.0.1:9") == []


def test_completion_does_not_wait_for_a_server_that_hangs(everline: Everline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert completions(everline, "everline stack show x", EVERLINE_URL=url) == []
        assert time.monotonic() - began < HANGING_SECONDS_MAX


def completions(everline: Everline, line: str, **changed: str) -> list[str]:
    """What bash would offer for a line."""
    words = line.split(" ")
    done = everline.process(
        _EVERLINE_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), **changed
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_scripts_can_be_printed(everline: Everline) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_EVERLINE_COMPLETE" in everline.run("completion", "show", shell).stdout


def test_a_reader_that_goes_away_is_no_traceback(everline: Everline) -> None:
    script = f"{Path(sys.executable).parent / 'everline'} events list --all -o json | head -c 1"
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env=everline.environment, timeout=60
    )
    assert "Traceback" not in done.stderr


def test_the_query_tables_are_shown_and_rebuilt(everline: Everline, model: str) -> None:
    (row,) = [row for row in everline.json("projection", "list")["items"] if row["workspace"] == "default"]
    assert row["state"] in {"live", "rebuilding"}
    assert "default\tlive" in everline.run("projection", "list").stdout
    assert everline.json("projection", "show")["position"] >= row["position"]
    assert everline.problem("projection", "rebuild", "nonsense", code=6)["code"] == "unknown_projection"
    everline.problem("projection", "show", "-w", fresh("nowhere"), code=6)
    assert "tags" in everline.run("projection", "rebuild", "tag").stdout
    eventually(lambda: everline.json("projection", "show")["state"] == "live")
    assert everline.json("replay", "--verify")["equal"]
