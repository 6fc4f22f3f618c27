"""Proofs over HTTP: what a stranger needs to check a log, and named problems for what cannot be proven."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ledger import checkpoint, merkle, tiles
from ledger.deployment import Deployment
from ledger.postgres.scan import open_scan
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from ledger.verification import verify_database
from tests.support.gateways import Gateway, open_gateway
from tests.support.sealing import administrator
from tests.support.servers import Database

EVENTS = 300


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with open_gateway(database) as running:
        yield running


async def seal(gateway: Gateway, directory: Path) -> Deployment:
    make_key_file(directory / "checkpoint.pem")
    sealer = Sealer(gateway.services.pool, KeyFile(directory / "checkpoint.pem"))
    deployment = await sealer.start()
    await sealer.seal()
    return deployment


async def tag(gateway: Gateway, first: int, count: int) -> None:
    for begin in range(first, first + count, 100):
        commands = [
            {"name": "create-tag", "body": {"name": f"t{n}"}} for n in range(begin, min(begin + 100, first + count))
        ]
        assert (await gateway.batch(commands=commands)).status_code == 200


def hashes(document: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(one) for one in document["hashes"]]


def entries_of(bundle: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(bundle):
        (length,) = struct.unpack_from(">H", bundle, at)
        found.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    return found


async def test_a_stranger_can_check_the_log_of_a_workspace(gateway: Gateway, tmp_path: Path) -> None:
    await tag(gateway, 0, 10)
    await seal(gateway, tmp_path)
    await tag(gateway, 10, EVENTS - 10)
    deployment = await seal(gateway, tmp_path)

    key = checkpoint.parse_key((await gateway.get("log/key")).text)
    assert key == deployment.key(gateway.workspace_id)
    signed = checkpoint.parse((await gateway.get("log/checkpoint")).text)
    signed.verify(key)
    assert signed.checkpoint.size == EVENTS
    first = checkpoint.parse((await gateway.get("log/checkpoint", size=4)).text)
    assert first.checkpoint.size == 10
    listed = (await gateway.get("log/checkpoints", limit=1)).json()
    assert [row["size"] for row in listed["items"]] == [10]
    assert [row["size"] for row in (await gateway.get("log/checkpoints", after=listed["next"])).json()["items"]] == [
        EVENTS
    ]

    full, rest = await gateway.get("log/tile/entries/000"), await gateway.get("log/tile/entries/001.p/44")
    assert "immutable" in full.headers["cache-control"]
    leaves = [merkle.leaf_hash(entry) for entry in entries_of(full.content) + entries_of(rest.content)]
    assert merkle.root_of(leaves) == signed.checkpoint.root
    hashed = await gateway.get("log/tile/0/000")
    assert merkle.unpack(hashed.content) == leaves[:256]
    assert (await gateway.get("log/tile/1/000.p/1")).content == tiles.fold(leaves[:256])

    proof = (await gateway.get("log/proofs/inclusion", position=200, size=EVENTS)).json()
    assert merkle.verify_inclusion(
        base64.b64decode(proof["leaf_hash"]), 199, size=EVENTS, proof=hashes(proof), root_hash=signed.checkpoint.root
    )
    grown = (await gateway.get("log/proofs/consistency", **{"from": 10, "to": EVENTS})).json()
    assert merkle.verify_consistency(
        10, EVENTS, proof=hashes(grown), old_root=first.checkpoint.root, root_hash=signed.checkpoint.root
    )
    frontier = (await gateway.get("log/frontier", size=10)).json()
    assert merkle.root(hashes(frontier)) == first.checkpoint.root


async def test_the_deployments_log_names_the_workspaces(gateway: Gateway, tmp_path: Path) -> None:
    await tag(gateway, 0, 3)
    deployment = await seal(gateway, tmp_path)
    signed = checkpoint.parse((await gateway.client.get("/v1/log/checkpoint")).text)
    signed.verify(checkpoint.parse_key((await gateway.client.get("/v1/log/key")).text))
    width = signed.checkpoint.size
    entries = entries_of((await gateway.client.get(f"/v1/log/tile/entries/000.p/{width}")).content)
    assert merkle.root_of(merkle.leaf_hash(entry) for entry in entries) == signed.checkpoint.root
    workspace = checkpoint.parse((await gateway.get("log/checkpoint")).text).checkpoint
    assert workspace.text.encode() in entries
    logs = (await gateway.client.get("/v1/log/workspaces")).json()["items"]
    [own] = [row for row in logs if row["workspace_id"] == str(gateway.workspace_id)]
    assert (own["position"], own["size"], own["refused_code"]) == (3, 3, None)
    assert own["origin"] == deployment.origin(gateway.workspace_id)


async def test_what_cannot_be_proven_is_named(gateway: Gateway, tmp_path: Path) -> None:
    await tag(gateway, 0, 3)
    await gateway.refuses(gateway.get("log/checkpoint"), code="not_sealed_yet", status=503)
    await gateway.refuses(gateway.get("log/key"), code="not_sealed_yet", status=503)
    await seal(gateway, tmp_path)
    await tag(gateway, 3, 1)
    refuses, get = gateway.refuses, gateway.get
    await refuses(get("log/proofs/inclusion", position=4), code="not_sealed_yet", status=503)
    await refuses(get("log/proofs/inclusion", position=2, size=4), code="not_sealed_yet", status=503)
    await refuses(get("log/proofs/inclusion", position=9), code="as_of_beyond_head", status=422)
    await refuses(get("log/proofs/inclusion", position=0), code="invalid_filter", status=422)
    await refuses(get("log/proofs/inclusion"), code="invalid_filter", status=422)
    await refuses(get("log/proofs/consistency", **{"from": 3, "to": 2}), code="invalid_filter", status=422)
    await refuses(get("log/proofs/consistency", **{"from": 1, "to": 4}), code="not_sealed_yet", status=503)
    await refuses(get("log/frontier", size=99), code="not_sealed_yet", status=503)
    for path in ("0/000", "0/000.p/4", "8/000.p/1", "0/1", "x/000.p/1", "entries/001.p/1", "0/x000/000.p/1", "entries"):
        await refuses(get(f"log/tile/{path}"), code="unknown_tile", status=404)
    await refuses(gateway.client.get("/v1/log/workspaces?cursor=x"), code="invalid_cursor", status=422)


async def test_a_truncated_tile_is_named(gateway: Gateway, database: Database, tmp_path: Path) -> None:
    await tag(gateway, 0, 5)
    await seal(gateway, tmp_path)
    with administrator(database) as connection:
        connection.execute(
            "UPDATE ledger.tiles SET hashes = substr(hashes, 1, 64) WHERE log_id = %s", (gateway.workspace_id,)
        )
    for path in ("log/tile/0/000.p/5", "log/proofs/inclusion?position=1", "log/frontier?size=5"):
        problem = await gateway.refuses(gateway.get(path), code="tile_truncated", status=500)
        assert (problem["level"], problem["number"], problem["width"]) == (0, 0, 2)


async def test_times_of_other_zones_verify_and_impossible_ones_are_refused(
    gateway: Gateway, database: Database, tmp_path: Path
) -> None:
    def at(time: str) -> dict[str, Any]:
        return {"name": "create-tag", "body": {"name": time[:4]}, "occurred_at": time}

    commands = [at("2026-11-03T12:00:00+02:00"), at("0001-01-01T00:00:00+02:00"), at("9999-12-31T23:59:59-01:00")]
    done = (await gateway.batch(commands=commands)).json()["results"]
    assert [result.get("problem", {}).get("code") for result in done] == [None, "invalid_command", "invalid_command"]
    await seal(gateway, tmp_path)
    with open_scan(database.app_dsn) as scan:
        assert [report.finding for report in verify_database(scan)] == [None] * 3
