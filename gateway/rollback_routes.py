"""Rollbacks and replay checks over HTTP: what a rollback would do, doing it, and proof that tables equal history."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.responses import Response

from commands.command import Rejection
from commands.fields import Text
from commands.rejections import InvalidCommand
from commands.rollback_plan import ENTITIES_MAX, Plan, PlannedEntity
from gateway.answers import answer
from gateway.call import WORKSPACE, Call, parameters, read_body, route
from gateway.command_routes import command_id, malformed
from gateway.problems import Refused, from_rejection, refused
from ledger.errors import PositionBeyondHead
from ledger.values import Position
from projections.compare import verify

MOMENT_LENGTH_MAX = 64

B = TypeVar("B", bound=msgspec.Struct)

EntityRefs = Annotated[list[Annotated[str, Meta(max_length=500)]], Meta(max_length=ENTITIES_MAX)]


class PlanRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`to` is a time or a position; `entities` are written `kind/name` or `kind/id`, null means everything that
    changed since."""

    to: Annotated[str, Meta(max_length=MOMENT_LENGTH_MAX)]
    entities: EntityRefs | None = None


class ApplyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was approved, as the plan said it."""

    to_position: Annotated[int, Meta(ge=0)]
    planned_at_position: Annotated[int, Meta(ge=0)]
    entities: EntityRefs | None = None
    plan_id: str
    reason: Text = ""


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to which position to replay; null means up to what the tables reflect."""

    until: Annotated[int, Meta(ge=1)] | None = None


async def plan_rollback(call: Call) -> Response:
    """What would be done. Changes nothing."""
    wanted = await read(call, PlanRequest)
    to = await call.services.moments.position_of(call.workspace_id, wanted.to)
    plan = await planned(call, to=to, entities=wanted.entities)
    return answer(public_plan(plan), position=plan.planned_at_position)


async def apply_rollback(call: Call) -> Response:
    """Does what was approved, if it still is what a new plan says."""
    wanted = await read(call, ApplyRequest)
    plan = await planned(call, to=wanted.to_position, entities=wanted.entities)
    if wanted.planned_at_position > plan.planned_at_position:
        raise PositionBeyondHead(wanted.planned_at_position, head=plan.planned_at_position)
    applied = await call.services.planner.apply(
        call.workspace_id,
        plan=msgspec.structs.replace(plan, planned_at_position=wanted.planned_at_position),
        plan_id=wanted.plan_id,
        reason=wanted.reason,
        actor=call.actor.name,
        command_id=command_id(call),
    )
    if isinstance(applied, Rejection):
        raise Refused(from_rejection(applied))
    return answer(applied, position=applied.position)


async def check_replay(call: Call) -> Response:
    """Replays the ledger beside the live tables and compares them. One at a time: it takes a core."""
    wanted = await read(call, CheckRequest)
    checking = call.services.checking
    if checking.locked():
        raise refused("verification_running", "another replay check is running", hint="ask again when it has ended")
    async with checking:
        found = await verify(call.services.pool, call.services.reader, call.workspace_id, until=wanted.until)
    return answer(found, position=found.position)


async def read(call: Call, wanted: type[B]) -> B:
    """The body as `wanted`. Raises Refused if it does not fit; without a body, the defaults."""
    parameters(call, ())
    body = await read_body(call.request) or b"{}"
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise Refused(from_rejection(InvalidCommand(wanted.__name__, reason=str(error)))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from None


async def planned(call: Call, *, to: Position, entities: list[str] | None) -> Plan:
    plan = await call.services.planner.plan(call.workspace_id, to=to, entities=entities)
    if isinstance(plan, Rejection):
        raise Refused(from_rejection(plan))
    return plan


def public_plan(plan: Plan) -> dict[str, Any]:
    """The plan as clients see it."""
    return {**msgspec.structs.asdict(plan), "entities": [public_entity(entity) for entity in plan.entities]}


def public_entity(entity: PlannedEntity) -> dict[str, Any]:
    """A change is written in the direction of the rollback: from what is to what was."""
    changes = [{"field": change.field, "from": change.now, "to": change.then} for change in entity.changes]
    return {**msgspec.structs.asdict(entity), "changes": changes}


ROUTES = (
    route(f"{WORKSPACE}/rollbacks/plan", plan_rollback, method="POST"),
    route(f"{WORKSPACE}/rollbacks/apply", apply_rollback, method="POST"),
    route(f"{WORKSPACE}/replay-checks", check_replay, method="POST"),
)
