"""The HTTP API on a real PostgreSQL: commands, batches, queries, rollbacks, the live stream, and the program itself."""

from __future__ import annotations

import asyncio
import getpass
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.requests import Request

from gateway import stream_routes
from gateway.authentication import Actor
from gateway.call import Call
from tests.support.gateways import WORKSPACE, Gateway, GatewayProgram, environment, gateway_program, open_gateway
from tests.support.servers import Database

KEEP_ALIVE_REQUESTS = 40
DELAYED_ACK_SECONDS = 0.04


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with open_gateway(database) as opened:
        yield opened


async def test_a_command_answers_a_receipt(gateway: Gateway) -> None:
    response = await gateway.command("register-pipeline", {"name": "digits"})
    receipt = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == '"1"'
    assert response.headers["everline-position"] == "1"
    assert receipt == {
        "command_id": receipt["command_id"],
        "kind": "pipeline",
        "id": receipt["id"],
        "version": 1,
        "first_position": 1,
        "last_position": 1,
        "position": 1,
        "repeated": False,
        "events": [{"position": 1, "type": "pipeline.registered", "stream": f"pipeline/{receipt['id']}", "version": 1}],
    }


async def test_a_command_that_changes_nothing_has_no_events(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    receipt = await gateway.done("update-pipeline", {"pipeline": "digits", "description": ""})
    assert receipt["events"] == []
    assert receipt["last_position"] < receipt["first_position"]


@pytest.mark.parametrize("key", ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "train.py line 7"])
async def test_a_repeat_gets_the_first_answer(gateway: Gateway, key: str) -> None:
    headers = {"Idempotency-Key": key}
    first = await gateway.done("register-pipeline", {"name": "digits"}, **headers)
    again = await gateway.done("register-pipeline", {"name": "digits"}, **headers)
    assert again == {**first, "repeated": True}


async def test_the_command_id_is_the_idempotency_key_if_that_is_a_uuid(gateway: Gateway) -> None:
    key = str(uuid4())
    receipt = await gateway.done("register-pipeline", {"name": "digits"}, **{"Idempotency-Key": key})
    assert receipt["command_id"] == key


async def test_the_actor_is_recorded_on_every_event(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    (event,) = await gateway.services.reader.read(gateway.workspace_id, after=0)
    assert event.actor == f"user:{getpass.getuser()}"


async def test_the_workspace_is_named_by_name_or_id(gateway: Gateway) -> None:
    response = await gateway.command("register-pipeline", {"name": "digits"}, workspace=str(gateway.workspace_id))
    assert response.json()["position"] == 1


async def test_a_loose_batch_answers_each_command(gateway: Gateway) -> None:
    one, two = str(uuid4()), str(uuid4())
    response = await gateway.batch(
        commands=[
            {"name": "register-pipeline", "body": {"name": "a"}, "id": one},
            {"name": "register-pipeline", "body": {"name": "a"}},
            {"name": "no-such-command", "body": {}},
            {
                "name": "update-pipeline",
                "body": {"pipeline": "a", "description": "x"},
                "id": two,
                "expected_version": 1,
            },
        ]
    )
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["everline-position"] == "2"
    assert answer["position"] == 2
    codes = [result["problem"]["code"] if "problem" in result else "" for result in answer["results"]]
    assert codes == ["", "name_taken", "unknown_command", ""]
    assert [answer["results"][at]["problem"]["index"] for at in (1, 2)] == [1, 2]
    assert [answer["results"][at]["receipt"]["command_id"] for at in (0, 3)] == [one, two]


async def test_an_atomic_batch_is_done_as_one(gateway: Gateway) -> None:
    response = await gateway.batch(
        atomic=True,
        commands=[
            {"name": "register-pipeline", "body": {"name": "a"}, "occurred_at": "2026-01-01T00:00:00Z"},
            {"name": "update-pipeline", "body": {"pipeline": "a", "description": "x"}},
        ],
    )
    assert [result["receipt"]["version"] for result in response.json()["results"]] == [1, 2]
    first, second = await gateway.services.reader.read(gateway.workspace_id, after=0)
    assert first.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert first.correlation_id == second.correlation_id


async def test_a_repeated_batch_is_done_once(gateway: Gateway) -> None:
    body = {"commands": [{"name": "register-pipeline", "body": {"name": name}} for name in "ab"]}
    first = (await gateway.post("commands", body, **{"Idempotency-Key": "nightly"})).json()
    again = (await gateway.post("commands", body, **{"Idempotency-Key": "nightly"})).json()
    assert [result["receipt"]["repeated"] for result in again["results"]] == [True, True]
    assert [result["receipt"]["id"] for result in again["results"]] == [
        result["receipt"]["id"] for result in first["results"]
    ]


async def test_lists_pages_and_filters(gateway: Gateway) -> None:
    for name in ("a", "b", "c"):
        await gateway.done("register-pipeline", {"name": name})
    first = await gateway.found("pipelines", limit=2, count="true")
    assert [item["name"] for item in first["items"]] == ["c", "b"]
    assert first["total"] == 3
    assert first["as_of"]["position"] == 3
    rest = await gateway.found("pipelines", limit=2, cursor=first["next"])
    assert [item["name"] for item in rest["items"]] == ["a"]
    assert rest["next"] is None
    some = await gateway.found("pipelines", name="oneof:a,c", sort="name", fields="name")
    assert [item["name"] for item in some["items"]] == ["a", "c"]


async def test_a_detail_has_an_entity_tag_and_a_position(gateway: Gateway) -> None:
    receipt = await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "numbers"})
    await gateway.project()
    for ref in ("digits", receipt["id"], receipt["id"][:23]):
        response = await gateway.get(f"pipelines/{ref}")
        assert response.headers["etag"] == '"2"'
        assert response.headers["everline-position"] == "2"
        assert response.json()["description"] == "numbers"


async def test_every_query_can_be_asked_as_of_an_earlier_moment(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "numbers"})
    await gateway.project()
    (event,) = await gateway.services.reader.read(gateway.workspace_id, after=0, until=1)
    for moment in ("1", event.recorded_at.isoformat()):
        response = await gateway.get("pipelines/digits", as_of=moment)
        assert response.json()["description"] == ""
        assert response.headers["everline-position"] == "1"
    assert (await gateway.found("pipelines", as_of="0"))["items"] == []


async def test_a_query_waits_for_the_write_that_it_must_see(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "first"})
    await gateway.project()
    receipt = await gateway.done("register-pipeline", {"name": "second"})
    asked = asyncio.ensure_future(gateway.get("pipelines", min_position=receipt["position"]))
    await gateway.services.projector.catch_up(gateway.workspace_id)
    assert [item["name"] for item in (await asked).json()["items"]] == ["second", "first"]


async def test_a_difference_streams_and_is_taken_up_where_it_broke(gateway: Gateway) -> None:
    for number in range(7):
        await gateway.done("register-pipeline", {"name": f"p{number}"})
    await gateway.project()
    whole = await gateway.found("diff", **{"from": "1"})
    response = await gateway.get("diff/stream", **{"from": "1", "limit": 3})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["everline-position"] == "7"
    moments, *lines = map(json.loads, response.text.splitlines())
    assert moments == {"from": whole["from"], "to": whole["to"]}
    assert [line for line in lines if "next" not in line] == whole["items"]
    assert [index for index, line in enumerate(lines) if "next" in line] == [3, 7]
    assert lines[-1] == {"next": None}
    await gateway.done("register-pipeline", {"name": "too late for this difference"})
    await gateway.project()
    rest = await gateway.get("diff/stream", **{"from": "1", "cursor": lines[3]["next"]})
    assert list(map(json.loads, rest.text.splitlines())) == [moments, *lines[4:]]


async def test_a_cursor_of_another_difference_is_refused(gateway: Gateway) -> None:
    for number in range(4):
        await gateway.done("register-pipeline", {"name": f"p{number}"})
    await gateway.project()
    cursor = (await gateway.found("diff", **{"from": "1", "limit": 1}))["next"]
    for path, moments in (("diff", {"from": "2"}), ("diff/stream", {"from": "1", "to": "3"})):
        request = gateway.get(path, cursor=cursor, **moments)
        await gateway.refuses(request, code="invalid_cursor", status=422)


async def test_history_counts_diff_and_events(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "numbers"})
    history = await gateway.found("pipelines/digits/history")
    assert history["items"][0]["changes"] == [{"field": "description", "from": "", "to": "numbers"}]
    assert (await gateway.found("pipelines/counts", by="description"))["counts"] == {"numbers": 1}
    diff = await gateway.found("diff", **{"from": "1", "to": "2"})
    assert [(item["kind"], item["name"], item["change"]) for item in diff["items"]] == [
        ("pipeline", "digits", "changed")
    ]
    events = await gateway.found("events", type="pipeline.*", entity="pipeline/digits")
    assert [event["position"] for event in events["items"]] == [2, 1]
    assert events["items"][0]["data"] == {"description": "numbers"}
    event = await gateway.found("events/1")
    assert event["stream"].startswith("pipeline/")


async def test_an_entity_may_be_called_like_a_part_of_a_path(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "counts"})
    assert (await gateway.found("pipelines/counts"))["name"] == "counts"


async def test_a_rollback_is_planned_applied_and_repeated(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits", "description": "good"})
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "bad"})
    planned = await gateway.post("rollbacks/plan", {"to": "1", "entities": ["pipeline/digits"]})
    plan = planned.json()
    (entity,) = plan["entities"]
    assert entity["changes"] == [{"field": "description", "from": "bad", "to": "good"}]
    assert [command["name"] for command in entity["commands"]] == ["update-pipeline"]
    body = {
        "to_position": plan["to_position"],
        "planned_at_position": plan["planned_at_position"],
        "entities": [entity["entity"]],
        "plan_id": plan["plan_id"],
        "reason": "a mistake",
    }
    applied = (await gateway.post("rollbacks/apply", body, **{"Idempotency-Key": "undo"})).json()
    assert (await gateway.found("pipelines/digits"))["description"] == "good"
    rollback = await gateway.found(f"rollbacks/{applied['id']}")
    assert (rollback["reason"], rollback["to_position"]) == ("a mistake", 1)
    again = (await gateway.post("rollbacks/apply", body, **{"Idempotency-Key": "undo"})).json()
    assert again["id"] == applied["id"]
    assert (await gateway.services.reader.head(gateway.workspace_id)).position == applied["position"]


async def test_a_replay_check_says_equal(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    response = await gateway.post("replay-checks", {"until": None})
    assert response.json()["equal"] is True
    assert response.headers["everline-position"] == "1"


async def test_a_request_keeps_its_id(gateway: Gateway) -> None:
    response = await gateway.client.get("/health", headers={"X-Request-ID": "build-7"})
    assert response.headers["x-request-id"] == "build-7"
    for bad in ("a" * 129, "two words"):
        response = await gateway.client.get("/health", headers={"X-Request-ID": bad})
        assert UUID(response.headers["x-request-id"])


async def test_info_whoami_and_health(gateway: Gateway) -> None:
    await gateway.project()
    info = (await gateway.client.get("/v1/info")).json()
    assert info["actor"] == f"user:{getpass.getuser()}"
    assert [workspace["name"] for workspace in info["workspaces"]] == [WORKSPACE]
    assert (await gateway.client.get("/v1/whoami")).json() == {"actor": info["actor"]}
    assert (await gateway.client.get("/health")).json() == {"status": "alive"}
    assert (await gateway.client.get("/ready")).json() == {"status": "ready", "lag_events": 0, "away": []}
    assert "openapi.json" in (await gateway.client.get("/docs")).text


async def test_metrics_count_what_was_asked(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.command("register-pipeline", {"name": "digits"})
    await gateway.command("made-up", {})
    text = (await gateway.client.get("/metrics")).text
    assert 'everline_commands_total{command="register-pipeline",outcome="accepted"} 1.0' in text
    assert 'everline_commands_total{command="register-pipeline",outcome="name_taken"} 1.0' in text
    assert 'everline_commands_total{command="other",outcome="unknown_command"} 1.0' in text
    assert f'everline_projection_lag_events{{workspace="{gateway.workspace_id}"}} 1.0' in text
    assert f'everline_relay_lag_events{{workspace="{gateway.workspace_id}"}} 1.0' in text
    assert "everline_append_seconds_count 2.0" in text
    assert 'everline_http_seconds_count{method="POST",operation="submit",status="409"} 1.0' in text


async def test_the_ledger_being_away_is_said_and_forgotten_when_it_is_back(
    gateway: Gateway, database: Database
) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    await end_sessions(database)
    problems = [response.json() for response in [await gateway.get("pipelines") for _ in range(5)] if response.is_error]
    assert {problem["code"] for problem in problems} <= {"ledger_unavailable"}
    assert all(problem["retryable"] for problem in problems)
    assert (await gateway.get("pipelines")).status_code == 200
    assert (await gateway.command("register-pipeline", {"name": "after"})).status_code == 200


async def end_sessions(database: Database) -> None:
    """What a restart of PostgreSQL does to those who are connected."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class EventStream:
    """A client of the live stream: its frames as (id, event, data)."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[int, str, dict[str, Any]]:
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith(("id: ", "event: ", "data: ")):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif not line and "data" in fields:
                    return int(fields["id"]), fields["event"], json.loads(fields["data"])
        raise AssertionError("the stream ended")

    async def end(self) -> None:
        """Waits until the server ends it."""
        async with asyncio.timeout(10):
            async for _ in self._lines:
                pass


async def test_a_silent_stream_says_that_it_lives_and_ends_when_the_program_stops(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_routes, "HEARTBEAT_SECONDS", 0.02)
    request = Request({"type": "http", "headers": []})
    call = Call(request, gateway.services, Actor("user:ada"), gateway.workspace_id)
    frames = stream_routes.frames(call, 0)
    assert (await anext(frames)).startswith(b"retry: ")
    assert await anext(frames) == b": still here\n\n"
    gateway.services.stopping.set()
    assert [frame async for frame in frames] == []
    assert gateway.services.wakeups.listeners == 0


@pytest.fixture
async def program(database: Database) -> AsyncIterator[GatewayProgram]:
    async with gateway_program(database) as running:
        yield running


@pytest.fixture
async def client(program: GatewayProgram) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=program.url) as made:
        created = await made.post("/v1/workspaces/control/commands/create-workspace", json={"name": WORKSPACE})
        assert created.status_code == 200, created.text
        yield made


async def register(client: httpx2.AsyncClient, name: str) -> None:
    response = await client.post(f"/v1/workspaces/{WORKSPACE}/commands/register-pipeline", json={"name": name})
    assert response.status_code == 200, response.text


async def test_the_stream_tells_new_events_and_resumes(client: httpx2.AsyncClient) -> None:
    path = f"/v1/workspaces/{WORKSPACE}/stream"
    await register(client, "before")
    async with client.stream("GET", path) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["everline-position"] == "1"
        stream = EventStream(response)
        await register(client, "during")
        position, kind, event = await stream.next()
        assert (position, kind, event["data"]["name"]) == (2, "pipeline.registered", "during")
    await register(client, "after")
    async with client.stream("GET", path, headers={"Last-Event-ID": "1"}) as response:
        stream = EventStream(response)
        assert [(await stream.next())[0] for _ in range(2)] == [2, 3]
    async with client.stream("GET", path, params={"after": 0}) as response:
        stream = EventStream(response)
        assert [(await stream.next())[0] for _ in range(3)] == [1, 2, 3]


async def test_sigterm_ends_open_streams_and_the_program(program: GatewayProgram, client: httpx2.AsyncClient) -> None:
    async with client.stream("GET", f"/v1/workspaces/{WORKSPACE}/stream", params={"after": 0}) as response:
        stream = EventStream(response)
        await register(client, "digits")
        await stream.next()
        began = time.monotonic()
        stopped = asyncio.ensure_future(program.stop())
        await stream.end()
        assert await stopped == 0
        assert time.monotonic() - began < 5


async def test_a_stream_that_a_client_left_is_forgotten(client: httpx2.AsyncClient) -> None:
    async with client.stream("GET", f"/v1/workspaces/{WORKSPACE}/stream", params={"after": 0}) as response:
        await register(client, "digits")
        stream = EventStream(response)
        await stream.next()
        assert "everline_event_streams 1.0" in (await client.get("/metrics")).text
    deadline = time.monotonic() + 10
    while "everline_event_streams 0.0" not in (await client.get("/metrics")).text:
        assert time.monotonic() < deadline, "the stream is still counted"


async def test_a_keep_alive_request_does_not_wait_for_a_delayed_acknowledgement(client: httpx2.AsyncClient) -> None:
    seconds = []
    for _ in range(KEEP_ALIVE_REQUESTS):
        began = time.perf_counter()
        await client.get("/v1/whoami")
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < DELAYED_ACK_SECONDS / 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"EVERLINE_HOST": "0.0.0.0"}, "0.0.0.0"),  # noqa: S104 - that it is refused is the test
        ({"EVERLINE_HOST": "everline.example.com"}, "everline.example.com"),
        ({"EVERLINE_PORT": "99999"}, "EVERLINE_PORT"),
        ({"EVERLINE_DSN": ""}, "EVERLINE_DSN"),
    ],
)
async def test_the_program_refuses_settings_that_it_cannot_serve(
    database: Database, settings: dict[str, str], complaint: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=environment(database, **settings),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert complaint in errors.decode()
    assert "Traceback" not in errors.decode()
