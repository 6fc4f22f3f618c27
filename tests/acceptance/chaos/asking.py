"""How a client asks: at either gateway, again under the same id until it is answered, and every word is noted."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx2
import msgspec

if TYPE_CHECKING:
    import random

    from tests.acceptance.chaos.model import Asked, Document, Model

ATTEMPT_SECONDS_MAX = 3.0
ANSWER_SECONDS_MAX = 90.0
RETRY_SECONDS = (0.02, 0.4)
LOST = (httpx2.TransportError, httpx2.InvalidURL)


class Asking:
    """The way to both gateways for all clients."""

    def __init__(self, model: Model, gateway_urls: dict[str, str]) -> None:
        self.model = model
        self._urls = list(gateway_urls.values())
        limits = httpx2.Limits(max_connections=64, max_keepalive_connections=32)
        self._http = httpx2.AsyncClient(timeout=ATTEMPT_SECONDS_MAX, limits=limits)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, commands: list[Asked], *, chance: random.Random, atomic: bool = False) -> list[Document]:
        """The receipt or problem of each command. What is never answered is a finding."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            known_before = self.model.asking(commands)
            status, answer = await self._post(commands, chance=chance, atomic=atomic)
            if status is not None and not _is_open(answer):
                return self._noted(commands, answer, known_before)
            self.model.unanswered(commands, str(answer.get("code", answer)))
            if time.monotonic() > deadline:
                self.model.find(f"never answered: {commands}, at last {answer}")
                return [answer] * len(commands)
            await asyncio.sleep(chance.uniform(*RETRY_SECONDS))

    async def ask_apart(self, asked: Asked, *, chance: random.Random) -> Document | None:
        """One attempt at something that the model does not keep; None when it is not answered."""
        status, answer = await self._post([asked], chance=chance, atomic=False)
        return None if status is None or _is_open(answer) else answer

    async def get(self, workspace: str, path: str, query: dict[str, Any], *, chance: random.Random) -> Document | None:
        """A question's answer; None when it is not answered now."""
        url = f"{chance.choice(self._urls)}/v1/workspaces/{workspace}/{path}"
        try:
            response = await self._http.get(url, params=query)
        except LOST:
            return None
        return self._found(f"{path} {query}", response)

    async def plan(self, workspace: str, body: Document, *, chance: random.Random) -> Document | None:
        """What a rollback would do; None when that cannot be told now."""
        url = f"{chance.choice(self._urls)}/v1/workspaces/{workspace}/rollbacks/plan"
        try:
            response = await self._http.post(url, json=body)
        except LOST:
            return None
        return self._found(f"plan {body}", response)

    def _found(self, what: str, response: httpx2.Response) -> Document | None:
        answer: Document = response.json()
        self.model.counts["questions"] += 1
        if response.is_success:
            return answer
        if not answer["retryable"]:
            self.model.find(f"{what} was refused: {answer}")
        return None

    async def _post(self, commands: list[Asked], *, chance: random.Random, atomic: bool) -> tuple[int | None, Document]:
        """One attempt: the status, or None when the connection was lost, and what was said."""
        workspace = commands[0].workspace
        base = f"{chance.choice(self._urls)}/v1/workspaces/{workspace}"
        try:
            if len(commands) == 1:
                response = await self._http.post(**_single(base, commands[0]))
            else:
                response = await self._http.post(f"{base}/commands", content=_batch(commands, atomic=atomic))
            return response.status_code, response.json()
        except LOST as error:
            return None, {"lost": repr(error)}
        except ValueError as error:
            return None, {"lost": f"half an answer: {error!r}"}

    def _noted(self, commands: list[Asked], answer: Document, known_before: int) -> list[Document]:
        answers = _each(commands, answer)
        for asked, one in zip(commands, answers, strict=True):
            if "code" in one:
                self.model.refused(asked, one, known_before=known_before, together=commands)
            else:
                self.model.accepted(asked, one)
        return answers


def _single(base: str, asked: Asked) -> dict[str, Any]:
    headers = {"Idempotency-Key": str(asked.id)}
    if asked.expected_version is not None:
        headers["If-Match"] = f'"{asked.expected_version}"'
    path = "rollbacks/apply" if asked.name == "record-rollback" else f"commands/{asked.name}"
    return {"url": f"{base}/{path}", "json": asked.body, "headers": headers}


def _batch(commands: list[Asked], *, atomic: bool) -> bytes:
    items = [
        {"name": asked.name, "body": asked.body, "id": str(asked.id)}
        | ({} if asked.expected_version is None else {"expected_version": asked.expected_version})
        for asked in commands
    ]
    return msgspec.json.encode({"commands": items, "atomic": atomic})


def _is_open(answer: Document) -> bool:
    """Whether nobody knows yet what becomes of a part of it."""
    problems = [result.get("problem", {}) for result in answer.get("results", ())]
    return any(problem.get("retryable") or problem.get("status", 0) >= 500 for problem in (answer, *problems))


def _each(commands: list[Asked], answer: Document) -> list[Document]:
    """One answer per command. The problem of an atomic batch is the answer to all of it."""
    if "results" in answer:
        return [result.get("receipt") or result["problem"] for result in answer["results"]]
    if "receipts" in answer:
        return [_of_rollback(commands[0].id, answer)]
    if "code" in answer and len(commands) > 1:
        index = answer["index"]
        return [answer if at == index else {**answer, "code": "batch_aborted"} for at in range(len(commands))]
    return [answer]


def _of_rollback(command_id: UUID, answer: Document) -> Document:
    """What was done, as the receipt of the record at its head, as far as a repeat says it too."""
    head = {"command_id": str(command_id), "kind": "rollback", "id": answer["id"], "position": answer["position"]}
    return {**head, "first_position": 0, "last_position": 0, "events": [], "version": 1}
