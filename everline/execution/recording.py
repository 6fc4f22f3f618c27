"""What a run tells the ledger, as commands with ids of our own: put into the outbox, never waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from everline.ids import new_id

if TYPE_CHECKING:
    from everline.artifacts.storing import Stored
    from everline.execution.compiling import Snapshot
    from everline.execution.results import Failure
    from everline.execution.stacks import LocalStack
    from everline.sending import Outbox


class Recorder:
    """The story of one run, in the order in which it is told."""

    def __init__(self, outbox: Outbox, stack: LocalStack, run_id: str) -> None:
        self._outbox, self._stack, self.run_id = outbox, stack, run_id

    def put(self, name: str, body: Mapping[str, Any]) -> None:
        """Any command."""
        self._outbox.put(name, body)

    def created(self, name: str, snapshot: Snapshot) -> None:
        self.put("create-snapshot", snapshot.command())
        body = {"snapshot": snapshot.id, "stack": self._stack.ref, "parameters": snapshot.parameters}
        self.put("create-run", {"id": self.run_id, "name": name, "environment": snapshot.environment, **body})
        self.put("start-run", {"run": self.run_id})

    def step_started(
        self, step: str, attempt: int, *, inputs: Mapping[str, str], cache_key: str, logs_uri: str
    ) -> None:
        body = {"step": step, "attempt": attempt, "inputs": inputs, "cache_key": cache_key, "logs_uri": logs_uri}
        self.put("start-step", {"run": self.run_id, **body})

    def artifact_stored(
        self, version_id: str, artifact: str, stored: Stored, *, step: str, output: str, save_type: str = "step_output"
    ) -> None:
        body = {
            "id": version_id,
            "artifact": artifact,
            "uri": stored.uri,
            "artifact_type": stored.artifact_type,
            "data_type": stored.data_type,
            "materializer": stored.materializer,
            "content_hash": stored.content_hash,
            "size_bytes": stored.size_bytes,
            "save_type": save_type,
            "artifact_store": self._stack.artifact_store_ref,
            "run": self.run_id,
            "step": step,
            "output": output,
        }
        self.put("register-artifact-version", body)

    def step_completed(self, step: str, attempt: int, outputs: Mapping[str, str]) -> None:
        self.put("complete-step", {"run": self.run_id, "step": step, "attempt": attempt, "outputs": outputs})

    def step_cached(
        self, step: str, cache_key: str, *, inputs: Mapping[str, str], outputs: Mapping[str, str], original_run: str
    ) -> None:
        body = {"cache_key": cache_key, "inputs": inputs, "outputs": outputs, "original_run": original_run}
        self.put("cache-step", {"run": self.run_id, "step": step, **body})

    def step_failed(self, step: str, attempt: int, failure: Failure) -> None:
        self.put("fail-step", {"run": self.run_id, "step": step, "attempt": attempt, "failure": failure.as_json()})

    def step_skipped(self, step: str, reason: str) -> None:
        self.put("skip-step", {"run": self.run_id, "step": step, "reason": reason})

    def completed(self) -> None:
        self.put("complete-run", {"run": self.run_id})

    def failed(self, failure: Failure) -> None:
        self.put("fail-run", {"run": self.run_id, "failure": failure.as_json()})

    def metadata(
        self,
        values: Mapping[str, Any],
        *,
        kind: str = "run",
        resource: str | None = None,
        step: str = "",
        step_index: int | None = None,
    ) -> None:
        body = {"id": new_id(), "resource_kind": kind, "resource": resource or self.run_id, "values": values}
        self.put("log-metadata", {**body, "step": step, "step_index": step_index})
