"""Old events read as new ones: pure functions on the raw fields, one schema step each, never deleted.

No event has a second schema yet. To add one: raise `schema` on the event class, add its step here, and store the
old bytes under `tests/compat/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.errors import BrokenUpcasters
from ledger.events.registry import event_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.values import JsonObject


class Upcaster(NamedTuple):
    """How the fields of `type_name` at `from_schema` read at the schema after it."""

    type_name: str
    from_schema: int
    convert: Callable[[JsonObject], JsonObject]


UPCASTERS: tuple[Upcaster, ...] = ()


def upcast(type_name: str, fields: JsonObject, *, schema: int, to_schema: int) -> JsonObject:
    """The fields as `to_schema` has them."""
    steps = {(step.type_name, step.from_schema): step.convert for step in UPCASTERS}
    for at in range(schema, to_schema):
        fields = steps[type_name, at](fields)
    return fields


def check_chains(upcasters: tuple[Upcaster, ...] = UPCASTERS) -> None:
    """Raises BrokenUpcasters unless exactly one step leads from every released schema to the next. Run at start."""
    known = [(step.type_name, step.from_schema) for step in upcasters]
    wanted = [(event.type, schema) for event in event_types().values() for schema in range(1, event.schema)]
    if sorted(known) != sorted(wanted):
        odd = sorted(set(known) ^ set(wanted)) or sorted({step for step in known if known.count(step) > 1})
        raise BrokenUpcasters(f"missing, superfluous or doubled upcasters for (type, schema): {odd}")
