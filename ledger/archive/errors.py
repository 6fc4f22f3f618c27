"""Why an archive is refused, or cannot be read. Each has a stable `code` and names the positions it is about."""

from __future__ import annotations

from ledger.errors import LedgerError
from ledger.values import Position


class ArchiveError(LedgerError):
    """Root of what is wrong with an archive; `code` is stable."""

    code: str


class ArchiveStoreUnusable(ArchiveError):
    """The object store cannot be opened or does not answer."""

    code = "archive_store_unusable"

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"the object store {url} cannot be used: {reason}")


class ArchiveSupportMissing(ArchiveError):
    """Parquet needs a library that is not installed."""

    code = "archive_support_missing"

    def __init__(self) -> None:
        super().__init__("archives need pyarrow, which is not installed: pip install 'everline[archive]'")


class ArchiveGone(ArchiveError):
    """The object store no longer has what the ledger archived in it."""

    code = "archive_gone"

    def __init__(self, url: str, *, first: Position, last: Position) -> None:
        self.url, self.first, self.last = url, first, last
        super().__init__(
            f"{url} is gone, and with it positions {first} to {last}; put it back from the object store's own backup"
        )


class ArchiveAltered(ArchiveError):
    """What the object store has is not what was archived."""

    code = "archive_altered"

    def __init__(self, url: str, reason: str, *, first: Position, last: Position) -> None:
        self.url, self.reason, self.first, self.last = url, reason, first, last
        super().__init__(f"{url}, which holds positions {first} to {last}, was altered: {reason}")


class ArchiveNotSealed(ArchiveError):
    """Positions that no signed checkpoint covers yet must stay in the ledger."""

    code = "archive_not_sealed"

    def __init__(self, last: Position, *, sealed: int) -> None:
        self.last, self.sealed = last, sealed
        super().__init__(
            f"position {last} is beyond the last signed checkpoint, which covers {sealed}; archive less, or wait for it"
        )


class NothingToArchive(ArchiveError):
    """Everything before the moment is archived already, or there is nothing."""

    code = "nothing_to_archive"

    def __init__(self, *, first: Position, last: Position) -> None:
        self.first, self.last = first, last
        super().__init__(f"the ledger holds positions from {first} on, and the archive was to end at {last}")


class NoSuchArchive(ArchiveError):
    """An id that is no archive's, or the beginning of several."""

    code = "no_such_archive"

    def __init__(self, ref: str) -> None:
        self.ref = ref
        super().__init__(f"there is no one archive {ref!r} on this PostgreSQL; see `everline archive list`")


class ArchiveRestored(ArchiveError):
    """The archive's positions are in the ledger already."""

    code = "archive_restored"

    def __init__(self, archive_id: object) -> None:
        self.archive_id = archive_id
        super().__init__(f"archive {archive_id} was restored already: its positions are in the ledger")


class ArchiveOutOfOrder(ArchiveError):
    """Archives come back newest first, so that what is left in the ledger has no hole."""

    code = "archive_out_of_order"

    def __init__(self, archive_id: object, *, newer: object) -> None:
        self.archive_id, self.newer = archive_id, newer
        super().__init__(f"archive {archive_id} can be restored once archive {newer}, which follows it, is restored")
