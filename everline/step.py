"""`@step`: a function whose inputs and outputs are recorded when a pipeline runs it.

Inside a pipeline function a call adds a node to the graph; everywhere else it is the plain function.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, cast, get_args, get_origin, get_type_hints, overload

from everline.errors import InvalidPipeline
from everline.graph import Node, Output, current_graph
from everline.names import checked_name

P = ParamSpec("P")
R = TypeVar("R")
RETRIES_MAX = 100
DEFAULT_OUTPUT = "output"


@dataclass(frozen=True)
class Outputs:
    """The names of what a step returns, in order. `several`: it returns a tuple with one value for each name;
    `named`: the names were chosen by an annotation and name the artifacts too."""

    names: tuple[str, ...]
    several: bool = False
    named: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names)

    def handles(self, node: Node) -> Any:
        """What a call inside a pipeline answers."""
        made = tuple(Output(node, name) for name in self.names)
        return made if self.several else made[0]

    def values(self, returned: Any) -> dict[str, Any]:
        """What the function returned, by output name. Raises TypeError when it does not fit the annotation."""
        if not self.several:
            return dict.fromkeys(self.names, returned)
        if not isinstance(returned, tuple | list) or len(returned) != len(self.names):
            got = f"{len(returned)} values" if isinstance(returned, tuple | list) else type(returned).__name__
            raise TypeError(f"it is annotated to return {', '.join(self.names)}, but returned {got}")
        return dict(zip(self.names, returned, strict=True))


class Step(Generic[P, R]):
    """A step: call it inside a pipeline to add it to the graph, anywhere else to run the function."""

    def __init__(self, function: Callable[P, R], *, name: str | None, retries: int, cache: bool) -> None:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise InvalidPipeline(f"step {function.__name__!r} must be a plain function that returns its outputs")
        if not 0 <= retries <= RETRIES_MAX:
            raise InvalidPipeline(f"step {function.__name__!r}: retries={retries} is not between 0 and {RETRIES_MAX}")
        self.function = function
        self.name = checked_name(name or function.__name__, what="a step")
        self.retries = retries
        self.cache = cache
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        graph = current_graph()
        if graph is None:
            return self.function(*args, **kwargs)
        given = dict(kwargs)
        after = given.pop("after", None) if "after" not in self.signature.parameters else None
        return cast("R", graph.add(self, self._arguments(args, given), after))

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidPipeline(f"step {self.name!r}: {error}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The function's parameters; every one of them has a name."""
        signature = inspect.signature(self.function)
        for parameter in signature.parameters.values():
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
                raise InvalidPipeline(
                    f"step {self.name!r}: {parameter} cannot be recorded", hint="give every argument a name of its own"
                )
        return signature

    @cached_property
    def outputs(self) -> Outputs:
        """What the return annotation says."""
        return outputs_of(self.function, step=self.name)

    @cached_property
    def code_digest(self) -> str:
        """SHA-256 of the source text, or of the compiled code where there is no source (an interactive prompt)."""
        return hashlib.sha256(source_of(self.function)).hexdigest()

    @property
    def source(self) -> str:
        """Where the function is defined."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def __repr__(self) -> str:
        return f"<step {self.name}>"


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *, name: str | None = None, retries: int = 0, cache: bool = False
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, retries: int = 0, cache: bool = False
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Makes a function a step: `@step`, or `@step(retries=1, cache=True)`.

    What it returns is stored as the artifact `output`; name it with `-> Annotated[T, "classifier"]`, and several with
    `-> tuple[Annotated[A, "train"], Annotated[B, "test"]]`. With `retries`, a failed attempt is tried again so often.
    With `cache`, a step whose code, parameters and inputs were seen before is answered with what it produced then.
    A step call in a pipeline also takes `after=` (what other step calls returned) for an order without data.
    """

    def decorate(function: Callable[P, R]) -> Step[P, R]:
        return Step(function, name=name, retries=retries, cache=cache)

    return decorate if function is None else decorate(function)


def outputs_of(function: Callable[..., Any], *, step: str) -> Outputs:
    """The outputs that a return annotation names."""
    hint = _return_hint(function)
    if hint is None or hint is type(None):
        return Outputs(())
    if get_origin(hint) is tuple:
        names = [_annotated_name(part) for part in get_args(hint)]
        if any(names):
            chosen = tuple(name or f"{DEFAULT_OUTPUT}_{index}" for index, name in enumerate(names))
            if len(set(chosen)) < len(chosen):
                raise InvalidPipeline(f"step {step!r} names two outputs alike: {', '.join(chosen)}")
            named = frozenset(checked_name(name, what="an output") for name in names if name)
            return Outputs(chosen, several=True, named=named)
    name = _annotated_name(hint)
    if name is None:
        return Outputs((DEFAULT_OUTPUT,))
    return Outputs((checked_name(name, what="an output"),), named=frozenset({name}))


def _return_hint(function: Callable[..., Any]) -> Any:
    """The return annotation; any value when there is none or when it names something that is not there."""
    try:
        return get_type_hints(function, include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError):
        hint = function.__annotations__.get("return", Any)
        return hint if not isinstance(hint, str) else _evaluated(hint, function)


def _evaluated(hint: str, function: Callable[..., Any]) -> Any:
    """A textual return annotation by itself: an argument's annotation may be what could not be resolved."""
    try:
        return eval(hint, getattr(function, "__globals__", {}))  # noqa: S307 - the user's own annotation
    except (NameError, TypeError, AttributeError, SyntaxError):
        return None if hint.strip() == "None" else Any


def _annotated_name(hint: Any) -> str | None:
    """`"x"` in `Annotated[T, "x"]`."""
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in hint.__metadata__ if isinstance(extra, str)), None)


def source_of(function: Callable[..., Any]) -> bytes:
    """The text that the function was written as, without the indentation of where it stands."""
    try:
        return textwrap.dedent(inspect.getsource(function)).encode()
    except (OSError, TypeError):
        code = function.__code__
        return code.co_code + repr((code.co_names, code.co_consts)).encode()
