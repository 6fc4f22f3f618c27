"""The way for a materializer to say, while writing, that another one has to store a value after all."""

from __future__ import annotations


class Unsuitable(Exception):
    """This materializer cannot write the value after all: the next one is asked."""


def type_name(value: object) -> str:
    """The import path of a value's class, built-in ones by their bare name."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
