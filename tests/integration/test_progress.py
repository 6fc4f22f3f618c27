"""What people see of projecting: progress, stops and rebuilds over HTTP and in the metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.events.stack import StackUpdated
from ledger.values import StreamId, new_id
from projections import progress
from projections.errors import ProjectionStopped
from tests.support.gateways import WORKSPACE, Gateway, open_gateway
from tests.support.ledgers import unit
from tests.support.servers import Database


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with open_gateway(database) as opened:
        yield opened


async def shown(gateway: Gateway) -> dict[str, Any]:
    response = await gateway.get("projection")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def poison(gateway: Gateway) -> ProjectionStopped:
    """An event that no projection can apply, and the projector's report of it."""
    event = (StreamId("stack", new_id()), StackUpdated(name="nobody registered it"))
    await gateway.services.appender.append(unit(gateway.workspace_id, event))
    with pytest.raises(ProjectionStopped) as stopped:
        await gateway.project()
    await gateway.services.projector.record_stop(stopped.value, rebuilding=False)
    return stopped.value


async def test_lag_and_throughput_are_shown(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    behind = await shown(gateway)
    assert (behind["workspace"], behind["state"], behind["position"], behind["head"]) == (None, "live", 0, 1)
    assert behind["lag_events"] == 1
    assert behind["lag_seconds"] > 0
    await gateway.project()
    live = await shown(gateway)
    assert (live["workspace"], live["state"], live["position"], live["head"]) == (WORKSPACE, "live", 1, 1)
    assert (live["lag_events"], live["lag_seconds"], live["stops"], live["rebuild"]) == (0, 0.0, [], None)
    assert 0 < live["events_per_second"] < 1


async def test_far_behind_is_called_catching_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LIVE_LAG_EVENTS_MAX", 0)
    await gateway.done("register-pipeline", {"name": "digits"})
    assert (await shown(gateway))["state"] == "catching_up"


async def test_a_stop_is_shown_until_it_is_over(gateway: Gateway) -> None:
    stopped = await poison(gateway)
    found = await shown(gateway)
    assert found["state"] == "stopped"
    (stop,) = found["stops"]
    assert (stop["position"], stop["type"], stop["attempts"]) == (stopped.position, "stack.updated", 1)
    assert "stacks has no row" in stop["cause"]
    page = (await gateway.client.get("/v1/projections")).json()
    assert [item["state"] for item in page["items"]] == ["stopped", "live"]
    assert (page["total"], page["states"]) == (2, {"stopped": 1, "live": 1})
    metrics = (await gateway.client.get("/metrics")).text
    assert f'everline_projection_stopped_position{{workspace="{gateway.workspace_id}"}} 1.0' in metrics
    assert 'everline_projections{state="stopped"} 1.0' in metrics
    assert await gateway.services.projector.record_recovery(gateway.workspace_id, rebuilding=False)
    assert (await shown(gateway))["state"] == "live"
    assert 'everline_projections{state="stopped"} 0.0' in (await gateway.client.get("/metrics")).text


async def test_an_ordered_rebuild_is_shown_until_it_is_done(gateway: Gateway) -> None:
    await gateway.done("register-pipeline", {"name": "digits"})
    await gateway.project()
    ordered = (await gateway.post("projection/rebuilds", {"projection": "tag"})).json()
    assert ordered == {"workspace_id": str(gateway.workspace_id), "tables": ["tags"]}
    found = await shown(gateway)
    assert found["state"] == "rebuilding"
    assert found["rebuild"]["tables"] == ["tags"]
    assert found["rebuild"]["ordered_by"].startswith("user:")
    again = gateway.post("projection/rebuilds", {})
    assert (await gateway.refuses(again, code="rebuild_pending", status=409))["tables"] == ["tags"]
    await gateway.services.projector.rebuild(gateway.workspace_id)
    assert (await shown(gateway))["state"] == "live"


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"projection": "nonsense"}, "unknown_projection", 404),
        ({"projection": 3}, "invalid_command", 422),
        ({"table": "runs"}, "invalid_command", 422),
        ({}, "nothing_projected", 409),
    ],
)
async def test_what_cannot_be_rebuilt_is_refused(
    gateway: Gateway, body: dict[str, Any], code: str, status: int
) -> None:
    await gateway.refuses(gateway.post("projection/rebuilds", body), code=code, status=status)


async def test_unknown_workspaces_and_limits_are_refused(gateway: Gateway) -> None:
    at = "/v1/workspaces/nowhere/projection"
    await gateway.refuses(gateway.client.get(at), code="workspace_not_found", status=404)
    await gateway.refuses(gateway.client.post(f"{at}/rebuilds", json={}), code="workspace_not_found", status=404)
    await gateway.refuses(gateway.client.get("/v1/projections?limit=0"), code="invalid_limit", status=422)
    await gateway.refuses(gateway.client.get("/v1/projections?sort=name"), code="invalid_filter", status=422)
    await gateway.refuses(gateway.get("projection"), code="nothing_projected", status=409)
