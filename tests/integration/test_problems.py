"""Bad input over HTTP: each is refused by name, with its status, and no ledger moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import UUID, uuid4

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commands.command import Rejection
from commands.run_rejections import RunAlreadyEnded
from gateway.call import BODY_BYTES_MAX
from gateway.problems import CODE_BY_ERROR, RENAMED, STATUS_BY_CODE, Problem, from_rejection
from ledger.archive.errors import ArchiveError
from ledger.backup.errors import BackupError
from ledger.errors import (
    AppendRefused,
    BrokenUpcasters,
    KeyUnusable,
    LedgerError,
    MoveError,
    PostgresOlder,
    SchemaNewer,
    SchemaOlder,
    SealedEvent,
)
from ledger.proof_errors import ProofError
from projections.errors import ProjectionError
from projections.pages import encode_cursor
from tests.support.gateways import WORKSPACE, Gateway, open_gateway
from tests.support.servers import Database

STANDARD = set(Problem("not_found", "").document("request"))


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with open_gateway(database) as opened:
        yield opened


def all_subclasses(of: type) -> set[type[Any]]:
    return {below for direct in of.__subclasses__() for below in {direct, *all_subclasses(direct)}}


def rejections() -> set[type[Rejection]]:
    return {rejection for rejection in all_subclasses(Rejection) if hasattr(rejection, "code")}


def test_every_rejection_has_a_status() -> None:
    assert {rejection.code for rejection in rejections()} - STATUS_BY_CODE.keys() == set()


def test_no_field_of_a_rejection_hides_a_standard_member() -> None:
    hiding = {
        f"{rejection.__name__}.{field}"
        for rejection in rejections()
        for field in rejection.__struct_fields__
        if RENAMED.get(field, field) in STANDARD
    }
    assert hiding == set()


def test_a_status_field_keeps_its_value_under_another_name() -> None:
    document = from_rejection(RunAlreadyEnded(run=uuid4(), status="failed")).document("r")
    assert (document["status"], document["current_status"]) == (409, "failed")


def test_every_error_of_the_ledger_that_a_request_can_meet_has_a_code() -> None:
    never_over_http = {BrokenUpcasters, KeyUnusable, PostgresOlder, SchemaNewer, SchemaOlder, SealedEvent}
    # Decided again; told by a mover; with codes of their own.
    for root in (AppendRefused, MoveError, ProofError, ArchiveError, BackupError):
        never_over_http |= {root, *all_subclasses(root)}
    assert all_subclasses(LedgerError) - never_over_http - CODE_BY_ERROR.keys() == set()
    assert set(CODE_BY_ERROR.values()) <= STATUS_BY_CODE.keys()


def test_every_error_of_the_projections_has_a_status() -> None:
    codes = {error.code for error in all_subclasses(ProjectionError) if hasattr(error, "code")}
    assert codes - STATUS_BY_CODE.keys() == set()


async def test_unknown_fields(gateway: Gateway) -> None:
    body = {"name": "digits", "colour": "red"}
    problem = await gateway.refuses(gateway.command("register-pipeline", body), code="invalid_command", status=422)
    assert "colour" in problem["detail"]


async def test_wrong_types(gateway: Gateway) -> None:
    problem = await gateway.refuses(
        gateway.command("register-pipeline", {"name": 7}), code="invalid_command", status=422
    )
    assert "$.name" in problem["detail"]
    assert problem["command"] == "register-pipeline"


async def test_over_long_names(gateway: Gateway) -> None:
    body = {"name": "n" * 201}
    problem = await gateway.refuses(gateway.command("register-pipeline", body), code="invalid_command", status=422)
    assert "200" in problem["detail"]


async def test_an_event_beyond_64_kib(gateway: Gateway) -> None:
    stored = await gateway.done("register-model", {"name": "churn"})
    version = await gateway.done("register-model-version", {"model": "churn"})
    assert stored["last_position"] < version["first_position"]
    body = {"resource_kind": "model_version", "resource": version["id"], "values": {"blob": "x" * 70_000}}
    problem = await gateway.refuses(gateway.command("log-metadata", body), code="event_too_large", status=413)
    assert problem["size_bytes"] > problem["size_bytes_max"]
    assert "artifacts" in problem["hint"]


async def test_a_nul_character(gateway: Gateway) -> None:
    body = {"name": "digits", "description": "a\x00b"}
    await gateway.refuses(gateway.command("register-pipeline", body), code="text_not_storable", status=422)


async def test_a_body_that_is_not_json(gateway: Gateway) -> None:
    path = f"/v1/workspaces/{WORKSPACE}/commands/register-pipeline"
    for body in (b"", b"{", b"\xff\xfe", b'{"name": "a"} trailing'):
        await gateway.refuses(gateway.client.post(path, content=body), code="malformed_json", status=400)


async def test_a_body_beyond_the_limit(gateway: Gateway) -> None:
    path = f"/v1/workspaces/{WORKSPACE}/commands/register-pipeline"
    big = b" " * (BODY_BYTES_MAX + 1)
    await gateway.refuses(gateway.client.post(path, content=big), code="body_too_large", status=413)


async def test_a_chunked_body_beyond_the_limit(gateway: Gateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 65_536 + 1):
            yield b" " * 65_536

    path = f"/v1/workspaces/{WORKSPACE}/commands/register-pipeline"
    await gateway.refuses(gateway.client.post(path, content=chunks()), code="body_too_large", status=413)


async def test_a_cyclic_pipeline(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    steps = [step("load", "train"), step("train", "load")]
    body = {"pipeline": "digits", "digest": "0" * 64, "steps": steps}
    problem = await gateway.refuses(gateway.command("create-snapshot", body), code="cyclic_pipeline", status=422)
    assert set(problem["cycle"]) == {"load", "train"}


def step(name: str, upstream: str) -> dict[str, Any]:
    return {"name": name, "source": f"train.{name}", "code_digest": "0" * 64, "upstream": [upstream]}


async def test_two_clients_register_the_same_name_at_once(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(gateway.command("register-pipeline", {"name": "digits"}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    for problem in (answer.json() for answer in answers if answer.status_code == 409):
        assert problem["code"] == "name_taken"
        assert problem["holder"] == f"pipeline/{winner['id']}"
    events = await gateway.services.reader.read(gateway.workspace_id, after=0)
    assert [event.type for event in events] == ["pipeline.registered"]


async def test_a_stale_if_match(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    changed = await gateway.command(
        "update-pipeline", {"pipeline": "digits", "description": "one"}, headers={"If-Match": '"1"'}
    )
    assert changed.headers["etag"] == '"2"'
    late = gateway.command("update-pipeline", {"pipeline": "digits", "description": "two"}, headers={"If-Match": '"1"'})
    problem = await gateway.refuses(late, code="stale_version", status=412)
    assert (problem["expected"], problem["actual"]) == (1, 2)


@pytest.mark.parametrize(
    "headers", [{"If-Match": "1"}, {"If-Match": '"x"'}, {"If-Match": "*"}, {"Idempotency-Key": "k" * 256}]
)
async def test_malformed_headers(gateway: Gateway, headers: dict[str, str]) -> None:
    request = gateway.command("register-pipeline", {"name": "digits"}, headers=headers)
    await gateway.refuses(request, code="malformed_header", status=400)


async def test_the_same_command_id_with_another_content(gateway: Gateway) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    await gateway.done("register-pipeline", {"name": "digits"}, **key)
    reused = gateway.command("register-pipeline", {"name": "other"}, headers=key)
    await gateway.refuses(reused, code="command_id_reused", status=409)


async def test_a_workspace_that_does_not_exist(gateway: Gateway) -> None:
    for ref in ("nowhere", str(uuid4())):
        request = gateway.command("register-pipeline", {"name": "digits"}, workspace=ref)
        problem = await gateway.refuses(request, code="workspace_not_found", status=404)
        assert problem["ref"] == ref


async def test_an_unknown_command_names_close_ones(gateway: Gateway) -> None:
    problem = await gateway.refuses(gateway.command("register-pipelin", {}), code="unknown_command", status=404)
    assert "register-pipeline" in problem["hint"]


async def test_a_command_of_the_other_ledger(gateway: Gateway) -> None:
    request = gateway.command("register-pipeline", {"name": "digits"}, workspace="control")
    await gateway.refuses(request, code="wrong_ledger", status=422)


async def test_a_batch_that_is_too_large(gateway: Gateway) -> None:
    commands = [{"name": "register-pipeline", "body": {"name": f"p{n}"}} for n in range(501)]
    problem = await gateway.refuses(gateway.batch(commands=commands), code="batch_too_large", status=413)
    assert (problem["size"], problem["size_max"]) == (501, 500)


async def test_an_atomic_batch_names_the_command_that_was_refused(gateway: Gateway) -> None:
    good = {"name": "register-pipeline", "body": {"name": "digits"}}
    for bad, code, status in (
        ({"name": "register-pipeline", "body": {"name": "digits"}}, "name_taken", 409),
        ({"name": "register-pipeline", "body": {"nom": "x"}}, "invalid_command", 422),
        ({"name": "delete-pipeline", "body": {"pipeline": "nobody"}}, "not_found", 404),
    ):
        problem = await gateway.refuses(gateway.batch(atomic=True, commands=[good, bad]), code=code, status=status)
        assert problem["index"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"commands": []},
        {"commands": "all"},
        {"commands": [{"name": "delete-pipeline", "body": {}, "when": "now"}]},
        {"commands": [{"name": "delete-pipeline", "body": {}, "occurred_at": "2026-01-01T00:00:00"}]},
        {"comands": []},
    ],
)
async def test_a_malformed_batch(gateway: Gateway, body: dict[str, Any]) -> None:
    await gateway.refuses(gateway.batch(**body), code="invalid_command", status=422)


@pytest.mark.parametrize(
    "query",
    [
        {"nmae": "digits"},
        {"created_at": "gte:yesterday"},
        {"run_count": "gt:many"},
        {"run_count": "contains:3"},
        {"id": "equals:not-an-id"},
        {"sort": "size"},
        {"fields": "id,size"},
        {"count": "yes"},
        {"min_position": "-1"},
        {"min_position": "9" * 30},
        {"limit": "ten"},
    ],
)
async def test_malformed_filters(gateway: Gateway, query: dict[str, str]) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    await gateway.refuses(gateway.get("pipelines", **query), code="invalid_filter", status=422)


async def test_an_unknown_field_names_the_allowed_ones(gateway: Gateway) -> None:
    await gateway.project()
    problem = await gateway.refuses(gateway.get("pipelines", nmae="x"), code="invalid_filter", status=422)
    assert "name" in problem["allowed"]


@pytest.mark.parametrize(
    "path", ["pipelines/digits", "events", "diff", "diff/stream", "stream", "pipelines/digits/history"]
)
async def test_an_unknown_parameter_is_never_ignored(gateway: Gateway, path: str) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    problem = await gateway.refuses(gateway.get(path, asof="1"), code="invalid_filter", status=422)
    assert problem["field"] == "asof"


async def test_a_doubled_parameter(gateway: Gateway) -> None:
    request = gateway.get("pipelines?limit=1&limit=2")
    await gateway.refuses(request, code="invalid_filter", status=422)


@pytest.mark.parametrize("limit", ["0", "1001"])
async def test_limits(gateway: Gateway, limit: str) -> None:
    await gateway.project()
    await gateway.refuses(gateway.get("pipelines", limit=limit), code="invalid_limit", status=422)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("pipelines", None),
        ("pipelines", ["-created", None, -1, str(UUID(int=1))]),
        ("pipelines", ["-created", None, 2**70, str(UUID(int=1))]),
        ("pipelines?sort=run_count", ["run_count", "many", 1, str(UUID(int=1))]),
        ("pipelines?sort=run_count", ["run_count", 2**64, 1, str(UUID(int=1))]),
        ("pipelines?sort=updated_at", ["updated_at", "yesterday", 1, str(UUID(int=1))]),
        ("diff?from=0", [0, 2**70, "", 0, str(UUID(int=1))]),
        ("diff?from=0", [0, 0, "", 2**70, str(UUID(int=1))]),
        ("diff?from=0&to=0", [0, 0, "nonsense", -5, str(UUID(int=1))]),
        ("diff/stream?from=0", [0, 0, 5, 0, str(UUID(int=1))]),
    ],
)
async def test_a_cursor_that_nobody_gave_out(gateway: Gateway, path: str, key: list[object] | None) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    path, _, query = path.partition("?")
    given = dict(parse_qsl(query)) | {"cursor": "abc" if key is None else encode_cursor(key)}
    await gateway.refuses(gateway.get(path, **given), code="invalid_cursor", status=422)


async def test_as_of_in_the_future(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for path in ("pipelines", "pipelines/digits", "events"):
        for moment in ("2", future):
            request = gateway.get(path, as_of=moment)
            await gateway.refuses(request, code="as_of_beyond_head", status=422)


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", "1.5", "-1", "2026-01-01T00:00:00"])
async def test_a_moment_that_is_none(gateway: Gateway, moment: str) -> None:
    await gateway.project()
    await gateway.refuses(gateway.get("pipelines", as_of=moment), code="invalid_moment", status=422)


async def test_an_entity_that_does_not_exist(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    problem = await gateway.refuses(gateway.get("pipelines/digit"), code="not_found", status=404)
    assert problem["suggestions"] == ["digits"]


async def test_an_event_that_does_not_exist(gateway: Gateway) -> None:
    await gateway.refuses(gateway.get("events/7"), code="not_found", status=404)
    await gateway.refuses(gateway.get("events/first"), code="invalid_filter", status=422)


async def test_a_position_that_the_tables_do_not_reach(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    problem = await gateway.refuses(gateway.get("pipelines", min_position=1), code="projection_behind", status=503)
    assert problem["retryable"]


async def test_a_stream_from_the_future(gateway: Gateway) -> None:
    await gateway.refuses(gateway.get("stream", after=5), code="as_of_beyond_head", status=422)


async def test_a_rollback_to_the_future(gateway: Gateway) -> None:
    await gateway.refuses(gateway.post("rollbacks/plan", {"to": "99"}), code="as_of_beyond_head", status=422)


async def test_a_rollback_of_nothing_known(gateway: Gateway) -> None:
    body = {"to": "0", "entities": ["stack/prod"]}
    await gateway.refuses(gateway.post("rollbacks/plan", body), code="not_found", status=404)


async def test_a_rollback_plan_that_is_outdated(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "a"})
    plan = (await gateway.post("rollbacks/plan", {"to": "1", "entities": ["pipeline/digits"]})).json()
    await gateway.done("update-pipeline", {"pipeline": "digits", "description": "b"})
    body = {
        "to_position": plan["to_position"],
        "planned_at_position": plan["planned_at_position"],
        "entities": [entity["entity"] for entity in plan["entities"]],
        "plan_id": plan["plan_id"],
        "reason": "a mistake",
    }
    await gateway.refuses(gateway.post("rollbacks/apply", body), code="plan_outdated", status=409)


async def test_addresses_that_lead_nowhere(gateway: Gateway) -> None:
    for path in ("/", "/v1", "/v2/info", "/v1/workspaces", f"/v1/workspaces/{WORKSPACE}/pipelines/a/b/c"):
        await gateway.refuses(gateway.client.get(path), code="unknown_path", status=404)


async def test_an_unknown_table_names_close_ones(gateway: Gateway) -> None:
    problem = await gateway.refuses(gateway.get("pipeline"), code="unknown_path", status=404)
    assert "pipelines" in problem["hint"]
    await gateway.refuses(gateway.get("lineage-edges"), code="unknown_path", status=404)


async def test_methods_that_are_not_taken(gateway: Gateway) -> None:
    path = f"/v1/workspaces/{WORKSPACE}/pipelines"
    await gateway.refuses(gateway.client.delete(path), code="method_not_allowed", status=405)
    assert set((await gateway.client.put(path)).headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_nul_character_in_the_address(gateway: Gateway) -> None:
    await gateway.refuses(gateway.get("pipelines/a%00b"), code="malformed_request", status=400)
    await gateway.refuses(gateway.get("pipelines?name=a%00b"), code="malformed_request", status=400)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "everline.example.com"},
        {"Origin": "https://example.com"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
    ],
)
async def test_what_a_foreign_page_makes_a_browser_send(gateway: Gateway, headers: dict[str, str]) -> None:
    request = gateway.command("register-pipeline", {"name": "digits"}, headers=headers)
    await gateway.refuses(request, code="foreign_origin", status=403)


HOSTILE = (
    "",
    " ",
    "'",
    "%",
    "\\",
    "-1",
    "0",
    "9" * 19,
    "9" * 40,
    "9" * 5_000,
    "1e400",
    "NaN",
    "equals:",
    "gt:",
    "in:1..2",
    "oneof:[",
    "oneof:" + "," * 2_000,
    "isnull:x",
    "é\u202e😀",
    "\ud7ff",
    "a@b@c",
    "@",
    "@latest",
    "x@" + "9" * 40,
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+23:59",
    "eyJhIjoxfQ==",
    "W10=",
    "x" * 3_000,
)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        *(("pipelines", name) for name in ("name", "id", "run_count", "created_at", "deleted", "tags", "a.b", "")),
        *(("pipelines", name) for name in ("as_of", "min_position", "sort", "limit", "cursor", "count", "fields")),
        *(("runs", name) for name in ("parameters.a", "parameters.", "parameters.a.b.c", "duration_seconds")),
        *(("events", name) for name in ("actor", "type", "kind", "entity", "since", "until", "cursor", "as_of")),
        *((path, name) for path in ("diff", "diff/stream") for name in ("from", "to", "kind", "cursor")),
        *(("pipelines/counts", name) for name in ("by", "name")),
        *(("pipelines/digits/history", name) for name in ("cursor", "as_of")),
        ("stream", "after"),
    ],
)
async def test_no_value_of_a_parameter_is_a_defect(gateway: Gateway, path: str, parameter: str) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    needed = {"diff": {"from": "1"}, "diff/stream": {"from": "1"}, "pipelines/counts": {"by": "name"}}.get(path, {})
    for value in HOSTILE:
        if (path, value) == ("stream", "0"):
            continue  # the one value that is answered by a stream without an end
        response = await gateway.get(path, **{**needed, parameter: value})
        if response.status_code != 200:
            problem = response.json()
            assert problem["code"] != "internal_error", (path, parameter, value)


@pytest.mark.parametrize("path", ["pipelines/{}", "pipelines/{}/history", "artifact-versions/{}/lineage", "events/{}"])
async def test_no_reference_is_a_defect(gateway: Gateway, path: str) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    for value in HOSTILE:
        response = await gateway.get(path.format(quote(value, safe="")))
        assert response.status_code < 500, (path, value)


async def test_a_defect_shows_its_request_id_and_nothing_else(gateway: Gateway) -> None:
    async def broken(request: Request) -> Response:
        raise RuntimeError(f"the secret cause of {request.url}")

    gateway.app.router.routes.insert(0, Route("/broken", broken))
    problem = await gateway.refuses(gateway.client.get("/broken"), code="internal_error", status=500)
    assert "secret" not in str(problem)
