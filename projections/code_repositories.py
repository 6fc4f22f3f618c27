"""Code repositories as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never, cast

from ledger.events.code_repository import (
    KIND,
    CodeRepositoryDeleted,
    CodeRepositoryRegistered,
    CodeRepositoryRestored,
    CodeRepositoryUpdated,
)
from projections.rows import present
from projections.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ledger.envelope import RecordedEvent
    from projections.rows import Rows

VERSION = 1

CODE_REPOSITORIES = Table(
    name="code_repositories",
    kind=KIND,
    summary="Where the source of pipelines is kept.",
    listed=("name", "provider", "url", "updated_at"),
    own=(
        Column("name", "text", indexed=True),
        Column("provider", "text", indexed=True, immutable=True),
        Column("url", "text"),
        Column("description", "text"),
    ),
)
TABLES = (CODE_REPOSITORIES,)

CodeRepositoryEvent = CodeRepositoryRegistered | CodeRepositoryUpdated | CodeRepositoryDeleted | CodeRepositoryRestored


def touches(_: RecordedEvent) -> Iterable[tuple[str, UUID]]:
    return ()


def apply(rows: Rows, recorded: RecordedEvent) -> None:
    id_ = recorded.stream.id
    match event := cast("CodeRepositoryEvent", recorded.event):
        case CodeRepositoryRegistered():
            rows.insert(
                "code_repositories",
                id_,
                name=event.name,
                provider=event.provider,
                url=event.url,
                description=event.description,
            )
        case CodeRepositoryUpdated():
            rows.update("code_repositories", id_, **present(event))
        case CodeRepositoryDeleted():
            rows.delete("code_repositories", id_)
        case CodeRepositoryRestored():
            rows.restore("code_repositories", id_)
        case _:
            assert_never(event)
