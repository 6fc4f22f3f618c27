"""Arrays on their way to PostgreSQL, packed in one go in its binary format.

The driver's own arrays dump item by item in Python, which was a third of an append's time. The format, from
PostgreSQL's `array_send`: dimensions, null flag, element type, then length and lower bound of the one dimension, then
each element after its length in bytes (-1 for NULL); integers are big-endian.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from psycopg import postgres
from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from psycopg.abc import AdaptContext

V = TypeVar("V")

_HEADER = Struct(">iiIii")
_EMPTY = Struct(">iiI")
_LENGTH = Struct(">i")
_SMALLINT = Struct(">ih")
_INTEGER = Struct(">ii")
_BIGINT = Struct(">iq")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array(ABC, Generic[V]):
    """A column's values for `unnest`. One subclass for each element type, because the driver asks the type."""

    element: ClassVar[str]

    def __init__(self, values: Iterable[V | None]) -> None:
        packed = self.pack(values)
        oid = postgres.types[self.element].oid
        header = _HEADER.pack(1, _NULL in packed, oid, len(packed), 1) if packed else _EMPTY.pack(0, 0, oid)
        self.packed = header + b"".join(packed)

    @staticmethod
    @abstractmethod
    def pack(values: Iterable[V | None]) -> list[bytes]:
        """Each value after its length."""


class Uuids(Array["UUID"]):
    element = "uuid"

    @staticmethod
    def pack(values: Iterable[UUID | None]) -> list[bytes]:
        return [_NULL if value is None else _UUID_LENGTH + value.bytes for value in values]


class Texts(Array[str]):
    element = "text"

    @staticmethod
    def pack(values: Iterable[str | None]) -> list[bytes]:
        return Byteas.pack(None if value is None else value.encode() for value in values)


class Byteas(Array[bytes]):
    element = "bytea"

    @staticmethod
    def pack(values: Iterable[bytes | None]) -> list[bytes]:
        length = _LENGTH.pack
        return [_NULL if value is None else length(len(value)) + value for value in values]


class Smallints(Array[int]):
    element = "int2"

    @staticmethod
    def pack(values: Iterable[int | None]) -> list[bytes]:
        return [_NULL if value is None else _SMALLINT.pack(2, value) for value in values]


class Integers(Array[int]):
    element = "int4"

    @staticmethod
    def pack(values: Iterable[int | None]) -> list[bytes]:
        return [_NULL if value is None else _INTEGER.pack(4, value) for value in values]


class Bigints(Array[int]):
    element = "int8"

    @staticmethod
    def pack(values: Iterable[int | None]) -> list[bytes]:
        return [_NULL if value is None else _BIGINT.pack(8, value) for value in values]


class Timestamps(Array[datetime]):
    """Microseconds since 2000-01-01 UTC."""

    element = "timestamptz"

    @staticmethod
    def pack(values: Iterable[datetime | None]) -> list[bytes]:
        return [_NULL if value is None else _BIGINT.pack(8, (value - _EPOCH) // _MICROSECOND) for value in values]


ARRAYS: tuple[type[Array[Any]], ...] = (Uuids, Texts, Byteas, Smallints, Integers, Bigints, Timestamps)


def register(context: AdaptContext) -> None:
    """Lets a connection take these arrays as parameters."""
    for array in ARRAYS:
        context.adapters.register_dumper(array, _dumper(array))


def _dumper(array: type[Array[Any]]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = postgres.types[array.element].array_oid

        def dump(self, obj: Array[Any]) -> bytes:
            return obj.packed

    return ArrayDumper
