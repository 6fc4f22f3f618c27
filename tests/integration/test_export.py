"""Bundles written from a served ledger of several tiles: any range, and a server that was tampered with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from everline.client import Client
from everline.proof import bundle, verify
from everline.proof.log import Log
from everline.proof.online import check_server
from everline.proof.remembered import Remembered
from everline.proof.verify import Broken
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from tests.support.gateways import Gateway, gateway_program, open_gateway
from tests.support.sealing import administrator
from tests.support.servers import Database

TAGS = 530
LARGE = "\u00e9\n" * 5_000


class Served(NamedTuple):
    """A gateway as people run it, on a ledger that is sealed."""

    url: str
    workspace_id: UUID
    database: Database


@pytest.fixture
async def served(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EVERLINE_CONFIG", str(tmp_path / "config.toml"))
    make_key_file(tmp_path / "checkpoint.pem")
    async with open_gateway(database) as gateway:
        await fill(gateway)
        sealer = Sealer(gateway.services.pool, KeyFile(tmp_path / "checkpoint.pem"))
        await sealer.start()
        await sealer.seal()
        workspace_id = gateway.workspace_id
    async with gateway_program(database) as program:
        yield Served(program.url, workspace_id, database)


async def fill(gateway: Gateway) -> None:
    """More than two full tiles, and at the end an event with a long text."""
    for first in range(0, TAGS, 106):
        tags = [{"name": "create-tag", "body": {"name": f"t{number}"}} for number in range(first, first + 106)]
        assert (await gateway.batch(commands=tags)).status_code == 200
    await gateway.done("register-model", {"name": "large", "description": LARGE})


def exported(served: Served, target: Path, first: int, last: int | None) -> dict[str, object]:
    with Client(served.url, str(served.workspace_id)) as client:
        return bundle.write_bundle(Log(client, str(served.workspace_id)), target, first=first, last=last)


@pytest.mark.parametrize("suffix", ["", ".zip"])
async def test_ranges_of_several_tiles(served: Served, tmp_path: Path, suffix: str) -> None:
    for first, last in ((1, None), (200, 300), (256, 257), (257, 512), (513, 513), (TAGS + 1, TAGS + 1)):
        target = tmp_path / f"{first}-{last}{suffix}"
        found = await asyncio.to_thread(exported, served, target, first, last)
        expected = (first, last or TAGS + 1, TAGS + 1)
        assert (found["from"], found["to"], found["checkpoint_size"]) == expected
        assert verify.check_bundle(target) == found
    if not suffix:
        lines = (tmp_path / "200-300" / "events.jsonl").read_text().splitlines()
        assert [json.loads(line)["position"] for line in lines] == list(range(200, 301))


async def test_what_was_tampered_with_is_not_exported(served: Served, tmp_path: Path) -> None:
    with administrator(served.database) as connection:
        connection.execute(
            "UPDATE ledger.events SET actor = 'user:eve' WHERE workspace_id = %s AND position = 300",
            (served.workspace_id,),
        )
    with pytest.raises(Broken) as caught:
        await asyncio.to_thread(exported, served, tmp_path / "all", 1, None)
    assert (caught.value.code, caught.value.position) == ("event_changed", 300)
    assert not (tmp_path / "all").exists()
    await asyncio.to_thread(exported, served, tmp_path / "before", 1, 299)


def checked(served: Served) -> dict[str, tuple[str | None, int]]:
    with Client(served.url) as client:
        remembered = Remembered(served.url)
        rows = check_server(client, remembered)
        remembered.save()
    return {row["log"].rpartition("/")[2]: (row["code"], row["sealed"]) for row in rows}


async def test_what_this_machine_saw_cannot_be_taken_back(served: Served) -> None:
    workspace = str(served.workspace_id)
    found = await asyncio.to_thread(checked, served)
    assert found[workspace] == (None, TAGS + 1)
    assert await asyncio.to_thread(checked, served) == found
    with administrator(served.database) as connection:
        connection.execute("DELETE FROM ledger.signed_checkpoints WHERE log_id = %s", (served.workspace_id,))
        connection.execute("DELETE FROM ledger.events WHERE workspace_id = %s", (served.workspace_id,))
        connection.execute("DELETE FROM ledger.heads WHERE workspace_id = %s", (served.workspace_id,))
    found = await asyncio.to_thread(checked, served)
    assert found[workspace] == ("event_missing", 0)


async def test_a_memory_that_cannot_be_read_is_not_taken_for_none(served: Served, tmp_path: Path) -> None:
    await asyncio.to_thread(checked, served)
    [memory] = (tmp_path / "state").rglob("*.json")
    memory.write_text("{")
    with pytest.raises(Exception, match="cannot be read"):
        await asyncio.to_thread(checked, served)
