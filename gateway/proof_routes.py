"""Proofs over HTTP: signed checkpoints, tiles and entries in C2SP form, inclusion and consistency proofs as JSON.

The same routes serve a workspace's log (an entry is an event's canonical envelope, entry n is position n + 1) and the
deployment's own (an entry is the text of a workspace's checkpoint). What is full never changes and may be cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.responses import Response

from gateway.answers import answer
from gateway.call import WORKSPACE, Call, integer, invalid, parameters, route
from gateway.problems import refused
from gateway.query_routes import limit_of
from ledger import tiles
from ledger.checkpoint import encoded
from ledger.codec import canonical
from ledger.errors import PositionBeyondHead
from ledger.postgres.proofs import ProofReader, StoredCheckpoint
from ledger.proof_errors import NotSealedYet, TileTruncated
from ledger.tiles import Tile

if TYPE_CHECKING:
    from ledger.deployment import Deployment

DEPLOYMENT_LOG = "/v1/log"
WORKSPACE_LOG = f"{WORKSPACE}/log"
CHECKPOINTS_LIMIT_DEFAULT = 100
TEXT_TYPE = "text/plain; charset=utf-8"
TILE_TYPE = "application/octet-stream"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
MOMENTARY = {"Cache-Control": "no-cache"}
ENTRIES = "entries"


async def show_checkpoint(call: Call) -> Response:
    """The last signed checkpoint, or with `size` the first that covers that many entries, as a signed note."""
    given = parameters(call, ("size",))
    size = integer(given, "size")
    proofs, log_id = ProofReader(call.services.pool), await log_of(call)
    found = await (proofs.latest(log_id) if size is None else proofs.covering(log_id, size))
    if found is None:
        raise await unsealed(call, size or 0)
    return Response(found.note, headers=MOMENTARY, media_type=TEXT_TYPE)


async def list_checkpoints(call: Call) -> Response:
    """Signed checkpoints, smallest first."""
    given = parameters(call, ("after", "limit"))
    limit = limit_of(given, CHECKPOINTS_LIMIT_DEFAULT)
    found = await ProofReader(call.services.pool).checkpoints(
        await log_of(call), after=integer(given, "after") or 0, limit=limit
    )
    following = found[-1].size if found and len(found) == limit else None
    return answer({"items": [checkpoint_row(row) for row in found], "next": following})


async def show_key(call: Call) -> Response:
    """The public key that this log's checkpoints are verified with, as signed notes write keys."""
    parameters(call, ())
    deployment = await ProofReader(call.services.pool).deployment()
    return Response(f"{deployment.key(await log_of(call, deployment))}\n", media_type=TEXT_TYPE)


async def prove_inclusion(call: Call) -> Response:
    """That a position is in the log of a size: its leaf hash, and the path to that size's root."""
    given = parameters(call, ("position", "size"))
    position = required(given, "position")
    proofs, log_id = ProofReader(call.services.pool), await log_of(call)
    size = integer(given, "size")
    if size is None:
        latest = await proofs.covering(log_id, position)
        if latest is None:
            raise await unsealed(call, position)
        size = latest.size
    if not 1 <= position <= size:
        raise invalid("position", str(position), f"it must be from 1 to the size {size}")
    leaf, hashes = await proofs.inclusion(log_id, position - 1, size)
    return answer(
        {"position": position, "size": size, "leaf_hash": encoded(leaf), "hashes": [encoded(one) for one in hashes]}
    )


async def prove_consistency(call: Call) -> Response:
    """That the log of size `to` extends the log of size `from`."""
    given = parameters(call, ("from", "to"))
    old_size, size = required(given, "from"), required(given, "to")
    if old_size > size:
        raise invalid("from", str(old_size), f"it must not be above {size}")
    hashes = await ProofReader(call.services.pool).consistency(await log_of(call), old_size, size)
    return answer({"from": old_size, "to": size, "hashes": [encoded(one) for one in hashes]})


async def show_frontier(call: Call) -> Response:
    """The frontier of the log at a size: what is needed to go on adding entries from there."""
    size = required(parameters(call, ("size",)), "size")
    hashes = await ProofReader(call.services.pool).frontier(await log_of(call), size)
    return answer({"size": size, "hashes": [encoded(one) for one in hashes]})


async def show_tile(call: Call) -> Response:
    """A tile of hashes, or a bundle of entries, full or with `.p/<width>` its beginning."""
    parameters(call, ())
    kind, _, written = call.path("tile").partition("/")
    address = tiles.parse_address(written)
    is_level = kind.isascii() and kind.isdecimal() and kind == str(int(kind)) and int(kind) < tiles.LEVELS_MAX
    if address is None or not (is_level or kind == ENTRIES):
        raise no_tile(call)
    number, width = address
    log_id = await log_of(call)
    tile = Tile(int(kind) if is_level else 0, number)
    latest = await ProofReader(call.services.pool).latest(log_id)
    if latest is None or tiles.width_at(tile, latest.size) < width:
        raise no_tile(call)
    content = await (hashes_of(call, log_id, tile, width) if is_level else entries_of(call, log_id, number, width))
    return Response(content, headers=FOR_EVER, media_type=TILE_TYPE)


async def list_logs(call: Call) -> Response:
    """Every workspace's log: where its ledger stands, how far it is sealed, and why not further."""
    given = parameters(call, ("cursor", "limit"))
    limit = limit_of(given, CHECKPOINTS_LIMIT_DEFAULT)
    proofs = ProofReader(call.services.pool)
    deployment = await proofs.deployment()
    found = await proofs.logs(after=cursor_of(given), limit=limit)
    items = [{**row._asdict(), "origin": deployment.origin(row.workspace_id)} for row in found]
    return answer({"items": items, "next": str(found[-1].workspace_id) if found and len(found) == limit else None})


async def hashes_of(call: Call, log_id: UUID, tile: Tile, width: int) -> bytes:
    """The first hashes of a stored tile. Raises TileTruncated when there are fewer."""
    stored = (await ProofReader(call.services.pool).tiles(log_id, [tile])).get(tile, b"")
    content = stored[: width * 32]
    if len(content) != width * 32:
        raise TileTruncated(*tile, width=len(content) // 32, needed=width)
    return content


async def entries_of(call: Call, log_id: UUID, number: int, width: int) -> bytes:
    """The entries under a tile, made from the rows as they are now: whoever checks them checks the rows."""
    first = number * tiles.WIDTH
    if is_own_log(call):
        entries = await ProofReader(call.services.pool).deployment_entries(first, width)
    else:
        events = await call.services.reader.read_published(log_id, after=first, until=first + width, limit=width)
        entries = [canonical(event) for event, _ in events]
    return tiles.bundle(entries)


async def log_of(call: Call, deployment: Deployment | None = None) -> UUID:
    """The log that the path names."""
    if not is_own_log(call):
        return call.workspace_id
    return (deployment or await ProofReader(call.services.pool).deployment()).id


def is_own_log(call: Call) -> bool:
    return "workspace" not in call.request.path_params


async def unsealed(call: Call, asked: int) -> Exception:
    """Beyond the head there is nothing; below it the sealer will come in a moment."""
    if is_own_log(call):
        return NotSealedYet(asked, sealed=0)
    latest = await ProofReader(call.services.pool).latest(call.workspace_id)
    head = await call.services.reader.head(call.workspace_id)
    if asked > head.position:
        return PositionBeyondHead(asked, head=head.position)
    return NotSealedYet(asked, sealed=latest.size if latest else 0)


def required(given: dict[str, str], name: str) -> int:
    value = integer(given, name)
    if value is None:
        raise invalid(name, "", "it must be given")
    return value


def cursor_of(given: dict[str, str]) -> UUID | None:
    try:
        return UUID(given["cursor"]) if "cursor" in given else None
    except ValueError:
        raise refused("invalid_cursor", "the cursor is not one of this list", hint="use `next` of a page") from None


def no_tile(call: Call) -> Exception:
    return refused(
        "unknown_tile",
        f"this log has no tile {call.path('tile')}",
        hint="a tile is <level>/<number> or entries/<number>; .p/<width> when the checkpoint leaves it partial",
    )


def checkpoint_row(row: StoredCheckpoint) -> dict[str, Any]:
    return {"size": row.size, "root": encoded(row.root), "signed_at": row.signed_at, "note": row.note}


ROUTES = (
    route(f"{DEPLOYMENT_LOG}/workspaces", list_logs),
    *(
        route(prefix + path, endpoint)
        for prefix in (WORKSPACE_LOG, DEPLOYMENT_LOG)
        for path, endpoint in (
            ("/checkpoint", show_checkpoint),
            ("/checkpoints", list_checkpoints),
            ("/key", show_key),
            ("/frontier", show_frontier),
            ("/proofs/inclusion", prove_inclusion),
            ("/proofs/consistency", prove_consistency),
            ("/tile/{tile:path}", show_tile),
        )
    ),
)
