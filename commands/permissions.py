"""Who may do what. Deciders name permissions; this is the only place that knows how they are granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID


class Permissions(Protocol):
    """The question that the command handler asks before it decides."""

    async def allows(self, actor: str, permission: str, workspace_id: UUID) -> bool: ...


class EveryoneOnThisMachine:
    """Until people exist the gateway serves loopback only, and whoever can reach it may do everything."""

    async def allows(self, actor: str, permission: str, workspace_id: UUID) -> bool:  # noqa: ARG002 - see Permissions
        return True
