"""Being a witness: what is taken, what is answered, and what is kept as evidence."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger import checkpoint, merkle
from ledger.checkpoint import Checkpoint, VerifierKey
from ledger.sealing import Sealer
from ledger.signing import KeyFile, make_key_file
from tests.support.gateways import Gateway, open_gateway
from tests.support.servers import Database

NAME = "everline-elsewhere"
ORIGIN = f"{NAME}/0190a3c1-0000-7000-8000-000000000001"
LEAVES = [sha256(bytes([number])).digest() for number in range(40)]
FORKED = [*LEAVES[:3], sha256(b"another").digest(), *LEAVES[4:]]


class Elsewhere(NamedTuple):
    """Another deployment's key, and the witness's own."""

    key: KeyFile
    other_key: KeyFile
    witness_key: KeyFile
    gateway: Gateway

    def signed(
        self, size: int, *, leaves: list[bytes] = LEAVES, origin: str = ORIGIN, key: KeyFile | None = None
    ) -> str:
        return checkpoint.sign(Checkpoint(origin, size, merkle.root_of(leaves[:size])), key or self.key).note

    async def show(self, old_size: int, size: int, *, leaves: list[bytes] = LEAVES, **rest: Any) -> httpx2.Response:
        proof = "".join(f"{base64.b64encode(one).decode()}\n" for one in consistency(leaves, old_size, size))
        return await self.send(f"old {old_size}\n{proof}\n{self.signed(size, leaves=leaves, **rest)}")

    async def send(self, body: str | bytes) -> httpx2.Response:
        content = body.encode() if isinstance(body, str) else body
        return await self.gateway.client.post("/v1/witness/add-checkpoint", content=content)

    async def watch(self) -> httpx2.Response:
        key = str(VerifierKey(NAME, self.key.public_key))
        return await self.gateway.client.post("/v1/witness/deployments", json={"key": key})

    async def evidence(self) -> list[tuple[int, str]]:
        items = (await self.gateway.client.get("/v1/witness/refused")).json()["items"]
        return [(row["size"], row["code"]) for row in items]


def consistency(leaves: list[bytes], old_size: int, size: int) -> list[bytes]:
    if old_size > size:
        return []
    spans = merkle.consistency_spans(old_size, size)
    nodes = {
        node: merkle.root_of(leaves[node.number << node.level : (node.number + 1) << node.level])
        for node in merkle.nodes_of(spans)
    }
    return merkle.hashes_of(spans, nodes)


@pytest.fixture
async def elsewhere(database: Database, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    keys = []
    for name in ("theirs", "others", "witness"):
        make_key_file(tmp_path / f"{name}.pem")
        keys.append(KeyFile(tmp_path / f"{name}.pem"))
    async with open_gateway(database, witness_key=tmp_path / "witness.pem") as gateway:
        await Sealer(gateway.services.pool, keys[2], name="everline-here").start()
        yield Elsewhere(*keys, gateway)


async def test_a_log_that_grows_is_cosigned(elsewhere: Elsewhere) -> None:
    assert (await elsewhere.watch()).status_code == 200
    assert (await elsewhere.watch()).status_code == 200
    answers = [await elsewhere.show(0, 3), await elsewhere.show(3, 3), await elsewhere.show(3, 40)]
    assert [answer.status_code for answer in answers] == [200] * 3
    dash, name, value = answers[-1].text.rstrip("\n").split(" ")
    assert (dash, name) == ("—", "everline-here/witness")
    content = base64.b64decode(value)
    text = Checkpoint(ORIGIN, 40, merkle.root_of(LEAVES)).text
    time = int.from_bytes(content[4:12], "big")
    witness = Ed25519PublicKey.from_public_bytes(elsewhere.witness_key.public_key)
    witness.verify(content[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
    listed = (await elsewhere.gateway.client.get("/v1/witness/checkpoints")).json()["items"]
    assert [(row["origin"], row["size"]) for row in listed] == [(ORIGIN, 40)]


async def test_a_stale_size_is_answered_with_the_size_to_prove_from(elsewhere: Elsewhere) -> None:
    await elsewhere.watch()
    await elsewhere.show(0, 7)
    for old_size in (0, 3):
        answer = await elsewhere.show(old_size, 12)
        assert (answer.status_code, answer.text) == (409, "7\n")
        assert answer.headers["content-type"].startswith("text/x.tlog.size")


async def test_a_fork_is_refused_by_name_and_kept_as_evidence(elsewhere: Elsewhere) -> None:
    await elsewhere.watch()
    await elsewhere.show(0, 5)
    refuses = elsewhere.gateway.refuses
    await refuses(elsewhere.show(5, 5, leaves=FORKED), code="checkpoint_forked", status=409)
    await refuses(elsewhere.show(0, 5, leaves=FORKED), code="checkpoint_forked", status=409)
    await refuses(elsewhere.show(5, 9, leaves=FORKED), code="checkpoint_inconsistent", status=422)
    assert sorted(await elsewhere.evidence()) == [(5, "checkpoint_forked"), (9, "checkpoint_inconsistent")]
    assert (await elsewhere.show(5, 9)).status_code == 200


async def test_what_is_no_checkpoint_of_a_watched_log_is_named_and_not_kept(elsewhere: Elsewhere) -> None:
    refuses = elsewhere.gateway.refuses
    await refuses(elsewhere.show(0, 3), code="log_unknown", status=404)
    await elsewhere.watch()
    await refuses(elsewhere.show(0, 3, origin=NAME + "x/1"), code="log_unknown", status=404)
    await refuses(elsewhere.show(0, 3, key=elsewhere.other_key), code="checkpoint_not_signed", status=403)
    await refuses(elsewhere.show(9, 3), code="checkpoint_malformed", status=400)
    bodies = [
        "",
        "old 0\n",
        "new 0\n\n",
        f"old x\n\n{elsewhere.signed(3)}",
        f"old 0\nzzz\n\n{elsewhere.signed(3)}",
        b"\xff",
    ]
    for body in bodies:
        await refuses(elsewhere.send(body), code="checkpoint_malformed", status=400)
    await refuses(elsewhere.send("old 0\n" + "A" * 70_000), code="body_too_large", status=413)
    watch = elsewhere.gateway.client.post
    await refuses(watch("/v1/witness/deployments", json={"key": "x"}), code="key_malformed", status=422)
    await refuses(watch("/v1/witness/deployments", json={"name": "x"}), code="malformed_json", status=400)
    other = str(VerifierKey(NAME, elsewhere.other_key.public_key))
    await refuses(watch("/v1/witness/deployments", json={"key": other}), code="key_conflict", status=409)
    assert await elsewhere.evidence() == []
    assert (await elsewhere.gateway.client.get("/v1/witness/checkpoints")).json()["items"] == []


async def test_two_forks_that_race_are_never_both_taken(elsewhere: Elsewhere) -> None:
    await elsewhere.watch()
    await elsewhere.show(0, 3)
    answers = await asyncio.gather(
        *(elsewhere.show(3, size, leaves=leaves) for size in (9, 10, 11) for leaves in (LEAVES, FORKED))
    )
    assert [answer.status_code for answer in answers].count(200) == 1
    assert {answer.status_code for answer in answers} == {200, 409}
