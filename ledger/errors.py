"""Why the ledger refuses. Each refusal is a type with fields; its message is built here, once."""

from __future__ import annotations

from uuid import UUID

from ledger.values import Position, StreamId, Version


class LedgerError(Exception):
    """Root of everything the ledger raises on purpose."""


class UnknownEventType(LedgerError):
    """An event type or schema that this program does not know: it is older than what wrote the ledger."""

    def __init__(self, type_name: str, schema: int) -> None:
        self.type_name, self.schema = type_name, schema
        super().__init__(f"event type {type_name!r} schema {schema} is unknown here; upgrade this program")


class BrokenUpcasters(LedgerError):
    """The upcaster chains do not lead from every released schema to the current one."""


class EventTooLarge(LedgerError):
    """An event's data is over the limit; big things are artifacts, not events."""

    def __init__(self, type_name: str, *, size_bytes: int, size_bytes_max: int) -> None:
        self.type_name, self.size_bytes, self.size_bytes_max = type_name, size_bytes, size_bytes_max
        super().__init__(
            f"{type_name} holds {size_bytes} bytes, the limit is {size_bytes_max}; store big things as artifacts"
        )


class UnstorableText(LedgerError):
    """Text with a NUL character, which no query table can hold."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        super().__init__(f"{type_name} holds text with a NUL character (\\u0000); remove it")


class KeyUnusable(LedgerError):
    """The deployment's key to personal data is not what it should be."""

    code: str


class MasterKeyMissing(KeyUnusable):
    """Personal data cannot be read or written without the deployment's key."""

    code = "master_key_missing"

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        where = "EVERLINE_KEYS, which names the directory of the keys, is not set" if path is None else f"no {path}"
        super().__init__(f"the key to personal data is missing: {where}; put it back from where your keys are kept")


class MasterKeyDamaged(KeyUnusable):
    """The key file is there and cannot be used."""

    code = "master_key_damaged"

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be used: {reason}; put it back from where your keys are kept")


class MasterKeyWrong(KeyUnusable):
    """The key file belongs to another deployment, or is older than what the database holds."""

    code = "master_key_wrong"

    def __init__(self, *, wanted: str, found: str) -> None:
        self.wanted, self.found = wanted, found
        super().__init__(
            f"personal data here was sealed under the key {wanted}, this program has {found};"
            " put the deployment's own key file back"
        )


class SubjectKeyLost(LedgerError):
    """A person's key is not in the database, although nobody erased the person."""

    def __init__(self, subject: UUID) -> None:
        self.subject = subject
        super().__init__(f"the key of person/{subject} is lost, and no erasure says why; restore ledger.subject_keys")


class SealBroken(LedgerError):
    """Sealed text that its key does not open: it was altered, moved or never sealed."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"cannot seal or open {what}")


class SealedEvent(LedgerError):
    """An event with personal fields where no key is at hand: whoever meets it reads the event from the ledger."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        super().__init__(f"{type_name} holds personal fields, which are read from the ledger only")


class AppendRefused(LedgerError):
    """The ledger is intact and nothing of this append is in it."""


class CommandRecorded(AppendRefused):
    """The command is in the ledger already: look its answer up instead of appending."""

    def __init__(self, command_id: UUID) -> None:
        self.command_id = command_id
        super().__init__(f"command {command_id} is in the ledger already")


class VersionConflict(AppendRefused):
    """A stream moved between load and append."""

    def __init__(self, stream: StreamId, *, expected: Version, actual: Version) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        super().__init__(f"{stream} is at version {actual}, not {expected}")


class ClaimTaken(AppendRefused):
    """Something that must be unique in the workspace is held by another stream."""

    def __init__(self, key: str, *, holder: StreamId) -> None:
        self.key, self.holder = key, holder
        super().__init__(f"{key!r} is held by {holder}")


class GuardFailed(AppendRefused):
    """Claims under a prefix changed between load and append."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        super().__init__(f"claims under {prefix!r} changed meanwhile")


class StreamTooLong(AppendRefused):
    """A stream reached its bound; long histories belong in several entities."""

    def __init__(self, stream: StreamId, *, length_max: int) -> None:
        self.stream, self.length_max = stream, length_max
        super().__init__(f"{stream} reached {length_max} events and takes no more")


class WorkspaceElsewhere(AppendRefused):
    """This PostgreSQL is not, or not now, the place of the workspace: nothing is recorded here. It is being moved, or
    whoever asks knows an old place of it."""

    retry_after_seconds = 1

    def __init__(self, workspace_id: UUID, *, presence: str) -> None:
        self.workspace_id, self.presence = workspace_id, presence
        super().__init__(f"workspace {workspace_id} is {presence} on this PostgreSQL; try again in a moment")


class MoveError(LedgerError):
    """A move that does not come to its end. The workspace stays where it was."""

    code: str


class TargetOccupied(MoveError):
    """The target has a ledger of this workspace that is no copy of this one."""

    code = "target_not_empty"

    def __init__(self, workspace_id: UUID, *, reason: str) -> None:
        self.workspace_id, self.reason = workspace_id, reason
        super().__init__(f"the target holds another ledger of workspace {workspace_id}: {reason}; nothing was changed")


class CopyDiffers(MoveError):
    """What arrived is not what was sent, or what was sent does not hash to what it should."""

    code = "move_verification_failed"

    def __init__(self, workspace_id: UUID, *, position: Position, reason: str) -> None:
        self.workspace_id, self.position, self.reason = workspace_id, position, reason
        super().__init__(
            f"the copy of workspace {workspace_id} is wrong at position {position}: {reason};"
            " the workspace stays where it was"
        )


class MoveGivenUp(MoveError):
    """The mover seemed to be gone, and somebody gave its move up."""

    code = "move_given_up"

    def __init__(self, workspace_id: UUID) -> None:
        self.workspace_id = workspace_id
        super().__init__(
            f"the move of workspace {workspace_id} was given up, because its mover seemed to be gone; start it again"
        )


class PlacementNotConfigured(LedgerError):
    """A workspace lives on a PostgreSQL that the settings of this program do not name."""

    retry_after_seconds = 5

    def __init__(self, alias: str) -> None:
        self.alias = alias
        super().__init__(f"the workspace is on {alias!r}, which EVERLINE_DSNS of this program does not name")


class PlacementAway(LedgerError):
    """A workspace's PostgreSQL has not answered since this program started, or not with a schema that it can use."""

    retry_after_seconds = 5

    def __init__(self, alias: str, *, reason: str) -> None:
        self.alias, self.reason = alias, reason
        super().__init__(f"the workspace is on {alias!r}, which cannot be used yet: {reason}")


class LedgerBusy(LedgerError):
    """The queue of waiting appends is full; try again after a moment."""

    retry_after_seconds = 1

    def __init__(self, queued_max: int) -> None:
        self.queued_max = queued_max
        super().__init__(f"{queued_max} appends are waiting already; try again in a moment")


class LedgerUnavailable(LedgerError):
    """PostgreSQL did not answer within the bounded retries; the outcome is known after a repeat of the command."""

    retry_after_seconds = 2


class LedgerDiskFull(LedgerError):
    """PostgreSQL has no room. What was asked for is not in the ledger; it goes through once there is room again."""

    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__("PostgreSQL's disk is full, nothing was recorded; make room, then send the same again")


class PositionBeyondHead(LedgerError):
    """A moment that has not happened yet."""

    def __init__(self, asked: object, *, head: Position) -> None:
        self.asked, self.head = asked, head
        super().__init__(f"{asked} is beyond the head of this ledger, which is at position {head}")


class SchemaNewer(LedgerError):
    """The database was migrated by a newer program; running this one on it could damage it."""

    def __init__(self, *, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(f"the database is at schema {found}, this program knows {known}; upgrade it")


class PostgresOlder(LedgerError):
    """The server lacks what the ledger relies on: `transaction_timeout`, which frees the locks of a stopped writer."""

    def __init__(self, *, found: int, needed: int) -> None:
        self.found, self.needed = found, needed
        super().__init__(f"PostgreSQL is version {found}, Everline needs {needed} or newer; upgrade PostgreSQL")


class SchemaOlder(LedgerError):
    """The database was not migrated for this program."""

    def __init__(self, *, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(f"the database is at schema {found}, this program needs {known}; run `runners migrate` on it")
