"""What of a workspace lies in the ledger's tables, and how a move brings it to another PostgreSQL.

Every table there has its line; a test compares the list with the database, so that none is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple


class Compared(NamedTuple):
    """A table whose rows of a workspace are compared, and copied where they differ. `owner` is the column with the
    workspace, `key` the rest of its primary key; `mutable` rows may differ because they changed."""

    name: str
    owner: str
    key: tuple[str, ...]
    mutable: bool


BY_POSITION = ("events", "commands", "streams")
"""Follow the log: copied with the stretch of positions that they belong to."""

BY_STREAM = ("claims",)
"""Change hands only with an event of the stream that holds them."""

COMPARED = (Compared("relays", "workspace_id", (), mutable=True),)

STAYS = (
    "subject_keys",
    "archives",
    "archived_streams",
    "heads",
    "deployment",
    "deployment_entries",
    "signed_checkpoints",
    "tiles",
    "seal_refusals",
    "witnessed_deployments",
    "witnessed_checkpoints",
    "refused_checkpoints",
)
"""Of the place, not of the workspace: people are known to the control ledger only, which does not move; a workspace
with archived positions is not moved either. The head row is written by the move itself, on both sides; what was signed
bears the name of the PostgreSQL where it was signed, and the sealer there signs the same tree anew under its own."""
