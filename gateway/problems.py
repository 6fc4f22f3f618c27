"""Refusals over HTTP (RFC 9457): the only table from a code to a status, and what a problem document holds.

Every rejection of a command, every error of the ledger and of the projections, and the gateway's own refusals pass
here. What is not in the table is a defect: the client gets `internal_error` with the request id and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from commands.command import Rejection
from ledger import errors as ledger
from ledger.archive.errors import ArchiveError
from ledger.postgres.connecting import LOST
from ledger.proof_errors import ProofError
from ledger.values import StreamId
from projections.errors import ProjectionError

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:everline:problem:"
INTERNAL = "internal_error"
UNAVAILABLE_RETRY_SECONDS = 2

STATUS_BY_CODE = {
    # The request itself.
    "malformed_request": 400,
    "malformed_header": 400,
    "malformed_json": 400,
    "foreign_origin": 403,
    "unknown_path": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "too_many_streams": 503,
    # A command that does not fit, or asks for what does not exist.
    "invalid_command": 422,
    "unknown_command": 404,
    "wrong_ledger": 422,
    "batch_too_large": 413,
    "event_too_large": 413,
    "text_not_storable": 422,
    "forbidden": 403,
    "not_found": 404,
    "workspace_not_found": 404,
    "unknown_alias": 422,
    "already_placed": 409,
    "move_running": 409,
    "no_such_move": 409,
    # A command that the current state does not allow.
    "ambiguous_reference": 409,
    "already_exists": 409,
    "name_taken": 409,
    "not_deleted": 409,
    "stale_version": 412,
    "concurrent_change": 409,
    "command_id_reused": 409,
    "stream_full": 409,
    "batch_aborted": 409,
    "reserved_name": 422,
    "person_erased": 409,
    "under_legal_hold": 409,
    "no_such_hold": 409,
    "reason_names_person": 422,
    "stack_incomplete": 422,
    "component_type_mismatch": 422,
    "component_in_use": 409,
    "unknown_flavor": 422,
    "invalid_configuration": 422,
    "duplicate_step": 422,
    "duplicate_output": 422,
    "unknown_upstream": 422,
    "unknown_input": 422,
    "cyclic_pipeline": 422,
    "run_already_ended": 409,
    "run_already_started": 409,
    "run_already_stopping": 409,
    "run_not_cancelling": 409,
    "run_not_pausable": 409,
    "run_not_paused": 409,
    "run_not_running": 409,
    "run_not_stopping": 409,
    "steps_not_finished": 409,
    "steps_not_successful": 409,
    "unknown_step": 404,
    "step_already_ended": 409,
    "step_already_started": 409,
    "step_not_started": 409,
    "upstream_not_finished": 409,
    "wrong_attempt": 409,
    "stage_taken": 409,
    "version_in_stage": 409,
    # Rollbacks.
    "plan_outdated": 409,
    "nothing_to_roll_back": 409,
    "rollback_too_large": 422,
    # Queries.
    "unknown_table": 404,
    "invalid_filter": 422,
    "invalid_cursor": 422,
    "invalid_limit": 422,
    "invalid_moment": 422,
    "as_of_beyond_head": 422,
    "projection_behind": 503,
    "projection_outdated": 503,
    "projection_newer": 503,
    "swap_refused": 503,
    "unknown_projection": 404,
    "rebuild_pending": 409,
    "nothing_projected": 409,
    "projection_stopped": 500,
    "projection_gap": 500,
    "broken_fold": 500,
    "verification_running": 503,
    "erased_meanwhile": 503,
    # Proofs.
    "unknown_tile": 404,
    "not_sealed_yet": 503,
    "tile_truncated": 500,
    "key_malformed": 422,
    "checkpoint_malformed": 400,
    "log_unknown": 404,
    "key_conflict": 409,
    "checkpoint_stale": 409,
    "checkpoint_forked": 409,
    "checkpoint_inconsistent": 422,
    "witness_off": 503,
    "checkpoint_foreign": 422,
    "checkpoint_not_signed": 403,
    # Archives.
    "archive_gone": 503,
    "archive_altered": 500,
    "archive_store_unusable": 503,
    "archive_support_missing": 500,
    # The machinery.
    "ledger_busy": 503,
    "ledger_unavailable": 503,
    "ledger_disk_full": 503,
    "placement_away": 503,
    "placement_not_configured": 503,
    "workspace_moving": 503,
    "not_ready": 503,
    "unknown_event_type": 500,
    "master_key_missing": 500,
    "master_key_damaged": 500,
    "master_key_wrong": 500,
    "subject_key_lost": 500,
    "seal_broken": 500,
    INTERNAL: 500,
}

RETRYABLE = frozenset({"concurrent_change", *(code for code, status in STATUS_BY_CODE.items() if status == 503)})
"""The same request, sent again, may succeed; nothing has to change first."""

RENAMED = {"status": "current_status"}
"""Fields of rejections that would hide a standard member of the document, and what they are called in it."""

CODE_BY_ERROR: dict[type[ledger.LedgerError], str] = {
    ledger.EventTooLarge: "event_too_large",
    ledger.UnstorableText: "text_not_storable",
    ledger.PositionBeyondHead: "as_of_beyond_head",
    ledger.LedgerBusy: "ledger_busy",
    ledger.LedgerUnavailable: "ledger_unavailable",
    ledger.LedgerDiskFull: "ledger_disk_full",
    ledger.UnknownEventType: "unknown_event_type",
    ledger.MasterKeyMissing: "master_key_missing",
    ledger.MasterKeyDamaged: "master_key_damaged",
    ledger.MasterKeyWrong: "master_key_wrong",
    ledger.SubjectKeyLost: "subject_key_lost",
    ledger.SealBroken: "seal_broken",
    ledger.WorkspaceElsewhere: "workspace_moving",
    ledger.PlacementAway: "placement_away",
    ledger.PlacementNotConfigured: "placement_not_configured",
}

HINT_BY_CODE = {
    "as_of_beyond_head": "leave as_of away to see the present",
    "ledger_busy": "send the same request again in a moment, with the same Idempotency-Key",
    "ledger_unavailable": "send the same request again, with the same Idempotency-Key: nothing is done twice",
    "ledger_disk_full": "somebody has to make room; then the same request goes through, with the same Idempotency-Key",
    INTERNAL: "report it with the request id; the gateway's log has the cause",
}


class Problem(NamedTuple):
    """A problem document before it is written. `members` are the refusal's own fields."""

    code: str
    detail: str
    hint: str = ""
    members: dict[str, Any] = {}
    retry_after_seconds: int | None = None

    @property
    def status(self) -> int:
        return STATUS_BY_CODE[self.code]

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of the document."""
        return {
            **self.members,
            "type": TYPE_PREFIX + self.code,
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
            "retryable": self.code in RETRYABLE,
            "request_id": request_id,
        }


class Refused(Exception):
    """A refusal on its way to the client."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def refused(code: str, detail: str, *, hint: str = "", **members: Any) -> Refused:
    """A refusal by the gateway itself."""
    return Refused(Problem(code, detail, hint, members))


def from_rejection(rejection: Rejection, **members: Any) -> Problem:
    """The problem that a rejected command's caller sees; its fields become members."""
    fields = {RENAMED.get(name, name): plain(getattr(rejection, name)) for name in rejection.__struct_fields__}
    return Problem(rejection.code, rejection.message(), rejection.hint(), {**fields, **members})


def from_error(error: Exception) -> Problem | None:
    """The problem for an expected error, or None for a defect."""
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, LOST):
        # Its text names hosts and users: it is for the log, not for the client.
        return Problem(
            "ledger_unavailable",
            "PostgreSQL did not answer",
            HINT_BY_CODE["ledger_unavailable"],
            retry_after_seconds=UNAVAILABLE_RETRY_SECONDS,
        )
    if isinstance(error, ArchiveError | ProjectionError | ProofError):
        code = error.code
    elif isinstance(error, ledger.LedgerError) and type(error) in CODE_BY_ERROR:
        code = CODE_BY_ERROR[type(error)]
    else:
        return None
    fields = {name: plain(value) for name, value in vars(error).items()}
    retry_after = getattr(error, "retry_after_seconds", None)
    return Problem(code, str(error), HINT_BY_CODE.get(code, ""), fields, retry_after)


def defect() -> Problem:
    """What a client may know of a defect."""
    return Problem(INTERNAL, "something is wrong in the gateway", HINT_BY_CODE[INTERNAL])


def plain(value: Any) -> Any:
    """A field as clients see it: streams are written `kind/id`."""
    if isinstance(value, StreamId):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
