"""The SDK against a running system: runs, the cache, reading and writing, the past, and the live stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import pytest

import everline
from everline import (
    AsyncClient,
    Client,
    Conflict,
    NotFound,
    ReadOnlyMoment,
    RunFailed,
    StaleRead,
    Unavailable,
    ValidationFailed,
    log_metadata,
    pipeline,
    register_model_version,
    sending,
    step,
)
from everline.errors import StackNotUsable
from runners.embedded import free_port
from tests.support.installations import Everline
from tests.support.waiting import eventually

WARM_RUN_SECONDS_MAX = 0.3
WARM_RUNS = 5


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everline]:
    system = Everline(tmp_path_factory.mktemp("sdk") / "data")
    system.up()
    with Client(system.url) as first:
        eventually(lambda: list(first.stacks.list(name="local")))  # `up` does not wait for the query tables
    yield system
    system.down()


@pytest.fixture(autouse=True)
def home(running: Everline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EVERLINE_URL", running.url)
    monkeypatch.setenv("EVERLINE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("EVERLINE_SPOOL_DIR", str(tmp_path / "spool"))
    for name in ("EVERLINE_WORKSPACE", "EVERLINE_CONTEXT", "EVERLINE_STACK"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    sending.forget()


@pytest.fixture
def client() -> Iterator[Client]:
    with Client() as opened:
        yield opened


def fresh(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}"


@step
def load() -> Annotated[dict[str, int], "numbers"]:
    print("loading")
    return {"a": 1, "b": 2}


@step
def total(numbers: dict[str, int], factor: int) -> Annotated[int, "total"]:
    log_metadata({"factor": factor, "nothing": float("nan")})
    return sum(numbers.values()) * factor


@step
def release(total: int, model: str) -> None:
    register_model_version(model, {"total": total}, metadata={"quality": 0.5})


@pipeline
def totals(factor: int = 2, model: str = "totals") -> None:
    release(total(load(), factor), model)


def test_a_run_is_in_the_ledger_as_it_happened(client: Client, running: Everline) -> None:
    model = fresh("model")
    run = totals(factor=3, model=model)
    found = client.runs.get(run.id)
    assert (found.status, found.name, found.pipeline) == ("completed", run.name, "totals")
    assert found.parameters == {"factor": 3, "model": model}
    assert {name: each.status for name, each in found.steps.items()} == dict.fromkeys(run.steps, "completed")
    assert found.steps["total"].output("total").load() == 9
    logs = Path(found.steps["load"]["logs_uri"])
    assert logs.is_relative_to(running.data_dir)
    assert "".join(chunk.read_text() for chunk in sorted(logs.glob("*.log"))) == "loading\n"
    version = client.model_versions.get(f"{model}@1")
    assert client.artifact_versions.get(version["artifacts"]["total"]).load() == 9
    facts = {entry["key"]: entry["value"] for entry in client.metadata.list(resource_id=run.id)}
    assert facts == {"factor": 3, "nothing": "NaN"}


def test_a_model_version_knows_its_number(client: Client) -> None:
    model = fresh("model")
    first, second = (register_model_version(model) for _ in range(2))
    assert (first.number, second.number) == (1, 2)


def test_a_failed_run_says_why(client: Client) -> None:
    @step(retries=1)
    def breaks() -> int:
        raise ValueError("no luck")

    @pipeline
    def breaking() -> None:
        total(breaks(), 1)  # type: ignore[arg-type]

    with pytest.raises(RunFailed) as caught:
        breaking()
    found = client.runs.get(caught.value.run.id)
    assert found.status == "failed"
    assert found.failure["message"] == "no luck"
    assert (found.steps["breaks"].status, found.steps["breaks"].attempt) == ("failed", 2)
    assert found.steps["total"].status == "skipped"


def test_a_seen_step_is_answered_from_the_cache(client: Client) -> None:
    executed: list[int] = []
    salt = fresh("salt")

    @step(cache=True)
    def squares(value: int, salt: str) -> Annotated[int, "square"]:
        executed.append(value)
        return value * value

    @pipeline
    def squaring(value: int) -> None:
        squares(value, salt)

    first = squaring(4)
    again = squaring(4)
    other = squaring(5)
    assert (first.status, again.status, other.status) == ("completed", "cached", "completed")
    assert executed == [4, 5]
    assert again.steps["squares"].output().load() == 16
    found = client.runs.get(again.id)
    assert (found.status, found.steps["squares"]["original_run_id"]) == ("cached", first.id)


def test_a_cached_step_whose_files_are_gone_is_executed(client: Client) -> None:
    import shutil

    executed: list[int] = []
    salt = fresh("salt")

    @step(cache=True)
    def makes(salt: str) -> int:
        executed.append(1)
        return 1

    @pipeline
    def making() -> None:
        makes(salt)

    shutil.rmtree(making().steps["makes"].output().stored.uri)
    assert making().status == "completed"
    assert len(executed) == 2


def test_a_gateway_that_is_killed_during_a_run_costs_nothing(client: Client, running: Everline) -> None:
    @step
    def kills(numbers: dict[str, int]) -> dict[str, int]:
        running.kill("gateway")
        return numbers

    @pipeline
    def killing() -> None:
        total(kills(load()), 1)

    was = running.pid("gateway")
    run = killing()
    assert run.status == "completed"
    running.wait_until_restarted("gateway", was=was)
    eventually(sending.outbox_for(everline.config.resolve()).flush, seconds_max=60)
    assert client.runs.get(run.id).status == "completed"
    types = [event.type for event in client.events(entity=f"run/{run.id}")]
    assert sorted(types) == sorted(
        ["run.created", "run.steps_planned", "run.started", "run.completed", *["step.started", "step.completed"] * 3]
    )


def test_a_warm_run_is_fast() -> None:
    totals()
    seconds = []
    for _ in range(WARM_RUNS):
        began = time.perf_counter()
        totals()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) <= WARM_RUN_SECONDS_MAX


def test_a_client_reads_its_own_writes(client: Client) -> None:
    for _ in range(5):
        name = fresh("store")
        receipt = client.register_component(
            name, component_type="artifact_store", flavor="local", configuration={"path": "/nowhere"}
        )
        assert client.components.get(name).id == receipt.id


def test_a_repeat_with_the_same_key_is_done_once(client: Client) -> None:
    body, key = {"name": fresh("pipeline")}, str(uuid4())
    first, again = (client.command("register-pipeline", body, idempotency_key=key) for _ in range(2))
    assert (again.id, again.repeated) == (first.id, True)


def test_refusals_are_exceptions_with_codes(client: Client) -> None:
    name = fresh("pipeline")
    receipt = client.command("register-pipeline", {"name": name})
    with pytest.raises(Conflict) as taken:
        client.command("register-pipeline", {"name": name})
    assert taken.value.code == "name_taken"
    with pytest.raises(NotFound) as missing:
        client.runs.get("no-such-run")
    assert missing.value.code == "not_found"
    with pytest.raises(ValidationFailed):
        client.command("register-pipeline", {"colour": "red"})
    with pytest.raises(StaleRead):
        client.command("update-pipeline", {"pipeline": name, "description": "x"}, expected_version=receipt.version + 1)
    with pytest.raises(AttributeError, match="its tables are"):
        _ = client.nonsense


def test_a_batch_answers_each_command(client: Client) -> None:
    name = fresh("pipeline")
    commands = [{"name": "register-pipeline", "body": {"name": each}} for each in (name, name, fresh("other"))]
    first, refused, last = client.batch(commands)
    assert isinstance(first, everline.resources.Receipt)
    assert isinstance(refused, dict)
    assert refused["code"] == "name_taken"
    assert isinstance(last, everline.resources.Receipt)
    with pytest.raises(Conflict):
        client.batch(commands[1:], atomic=True)


def test_lists_page_and_count(client: Client) -> None:
    names = {fresh("paged") for _ in range(7)}
    client.batch([{"name": "register-pipeline", "body": {"name": name}} for name in names], atomic=True)
    found = [each.name for each in client.pipelines.list(name="startswith:paged-", sort="name")]
    assert found == sorted(names)
    assert len(list(client.pipelines.list(limit=3))) == 3
    assert sum(client.runs.counts(by="status").values()) == len(list(client.runs.list()))
    assert "<table>" in client.pipelines.get(found[0])._repr_html_()


def test_the_past_is_read_only_and_as_it_was(client: Client) -> None:
    model = fresh("model")
    assert register_model_version(model).number == 1
    promoted = client.promote(f"{model}@1", to="production", reason="good")
    past = client.as_of(promoted.position - 1)
    assert past.model_versions.get(f"{model}@1").stage == "none"
    assert client.model_versions.get(f"{model}@1").stage == "production"
    for write in (lambda: past.promote(f"{model}@1", to="none"), lambda: past.rollback(to=1), lambda: past.batch([])):
        with pytest.raises(ReadOnlyMoment):
            write()
    (change,) = client.diff(promoted.position - 1, promoted.position, kind="model_version")
    assert change.changes == [{"field": "stage", "from": "none", "to": "production"}]
    assert next(iter(client.model_versions.history(f"{model}@1"))).position == promoted.position


def test_a_rollback_is_planned_then_applied_and_refused_when_outdated(client: Client) -> None:
    model = fresh("model")
    assert register_model_version(model).number == 1
    before = client.promote(f"{model}@1", to="staging").position
    client.promote(f"{model}@1", to="production", reason="a mistake")
    rollback = client.rollback(to=before, entities=[f"model_version/{model}@1"])
    plan = rollback.plan()
    assert plan.entities[0]["changes"] == [{"field": "stage", "from": "production", "to": "staging"}]
    client.promote(f"{model}@1", to="archived")
    with pytest.raises(Conflict) as outdated:
        rollback.apply(reason="undo")
    assert outdated.value.code == "plan_outdated"
    rollback.plan()
    rollback.apply(reason="undo")
    assert client.model_versions.get(f"{model}@1").stage == "staging"


def test_replay_lineage_and_events(client: Client) -> None:
    run = totals(model=fresh("model"))
    lineage = client.lineage(run.steps["total"].output("total").id, direction="up")
    assert {node["type"] for node in lineage.nodes} == {"artifact_version", "step"}
    assert [event.type for event in client.events(type="run.completed", limit=1)] == ["run.completed"]
    assert client.replay_check().equal


def test_the_live_stream_is_followed(client: Client) -> None:
    name = fresh("followed")
    receipt = client.command("register-pipeline", {"name": name})
    event = next(client.follow(after=receipt.position - 1))
    assert (event.position, event.type, event.data["name"]) == (receipt.position, "pipeline.registered", name)


async def test_the_asynchronous_client_is_the_same(client: Client) -> None:
    name = fresh("asynchronous")
    async with AsyncClient() as other:
        receipt = await other.command("register-pipeline", {"name": name})
        assert (await other.pipelines.get(name)).id == receipt.id
        assert [each.name async for each in other.pipelines.list(name=name)] == [name]
        assert (await other.pipelines.counts(by="name"))[name] == 1
        async for event in other.follow(after=receipt.position - 1):
            assert event.data["name"] == name
            break
        with pytest.raises(ReadOnlyMoment):
            other.as_of(receipt.position).promote("m@1", to="none")
        with pytest.raises(NotFound):
            await other.pipelines.get("no-such-pipeline")
    assert client.pipelines.get(name).id == receipt.id


def test_workspaces_are_read_from_the_control_ledger(client: Client) -> None:
    client.command("register-pipeline", {"name": fresh("pipeline")})
    assert "default" in [workspace.name for workspace in client.workspaces.list()]


def test_an_unknown_stack_is_refused_before_anything_is_sent(client: Client) -> None:
    before = sum(client.runs.counts(by="status").values())
    with pytest.raises(NotFound):
        totals.with_options(stack="no-such-stack")()
    assert sum(client.runs.counts(by="status").values()) == before


def test_a_stack_that_was_seen_is_known_while_the_server_is_away(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stack = fresh("store"), fresh("stack")
    configuration = {"path": str(tmp_path / "elsewhere")}
    client.register_component(store, component_type="artifact_store", flavor="local", configuration=configuration)
    client.register_stack(stack, {"orchestrator": "local-orchestrator", "artifact_store": store})
    run = totals.with_options(stack=stack)()
    assert client.runs.get(run.id).stack == stack
    assert run.steps["load"].output().stored.uri.startswith(configuration["path"])
    monkeypatch.setenv("EVERLINE_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StackNotUsable, match="no server answers"):
        totals.with_options(stack=stack)()


def test_no_server_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLINE_URL", f"http://127.0.0.1:{free_port()}")
    with Client() as away, pytest.raises(Unavailable, match="everline up") as caught:
        away.runs.get("x")
    assert caught.value.retry_after is not None
