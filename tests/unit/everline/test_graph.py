"""Pipelines become graphs: names, inputs, parameters, order, and what is refused before anything runs."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from everline import InvalidPipeline, pipeline, step
from everline.execution.compiling import compiled
from everline.graph import Graph
from everline.pipeline import Pipeline


@step
def number(value: int = 1) -> Annotated[int, "n"]:
    return value


@step
def pair() -> tuple[Annotated[int, "left"], Annotated[str, "right"]]:
    return 1, "r"


@step
def add(a: int, b: int) -> int:
    return a + b


@step
def note(text: str) -> None:
    print(text)


def graph_of(made: Pipeline[Any], **parameters: Any) -> Graph:
    return made.build(made.parameters_of(**parameters))


def test_outputs_become_inputs_and_everything_else_a_parameter() -> None:
    @pipeline
    def sums(b: int = 2) -> None:
        add(number(), b)

    node = graph_of(sums, b=5).nodes["add"]
    assert {name: (output.node.name, output.name) for name, output in node.inputs.items()} == {"a": ("number", "n")}
    assert node.parameters == {"b": 5}
    assert node.upstream == ("number",)


def test_several_outputs_unpack() -> None:
    @pipeline
    def unpacks() -> None:
        left, right = pair()
        add(left, number())
        note(right)

    graph = graph_of(unpacks)
    assert graph.nodes["note"].inputs["text"].name == "right"
    assert graph.nodes["add"].upstream == ("pair", "number")


def test_a_step_called_again_gets_a_number() -> None:
    @pipeline
    def thrice() -> None:
        for value in range(3):
            number(value)

    assert list(graph_of(thrice).nodes) == ["number", "number_2", "number_3"]


def test_after_orders_without_data() -> None:
    @pipeline
    def ordered() -> None:
        first = note("first")
        value = number()
        note("last", after=[first, value])  # type: ignore[call-arg]

    assert graph_of(ordered).nodes["note_2"].upstream == ("note", "number")


def test_a_pipeline_inside_a_pipeline_adds_its_steps() -> None:
    @pipeline
    def inner(value: int) -> Any:
        return number(value)

    @pipeline
    def outer() -> None:
        add(inner(3), 1)

    assert list(graph_of(outer).nodes) == ["number", "add"]


def test_a_pipeline_that_calls_itself_is_refused() -> None:
    @pipeline
    def endless() -> None:
        number()
        endless()

    with pytest.raises(InvalidPipeline, match="cyclic"):
        endless()


def test_an_output_of_another_pipeline_is_refused() -> None:
    kept = []

    @pipeline
    def first() -> None:
        kept.append(number())

    @pipeline
    def second() -> None:
        add(kept[0], 1)

    graph_of(first)
    with pytest.raises(InvalidPipeline, match="of another pipeline, 'first'"):
        second()


def test_a_pipeline_without_steps_is_refused() -> None:
    @pipeline
    def nothing() -> None:
        pass

    with pytest.raises(InvalidPipeline, match="calls no steps"):
        nothing()


def test_a_decision_on_an_output_is_refused() -> None:
    @pipeline
    def decides() -> None:
        if number():
            note("yes")

    with pytest.raises(InvalidPipeline, match="no value"):
        decides()


def test_one_output_does_not_unpack() -> None:
    @pipeline
    def unpacks() -> None:
        _a, _b = number()  # type: ignore[misc]

    with pytest.raises(InvalidPipeline, match="cannot be unpacked"):
        unpacks()


def test_a_wrong_argument_is_refused_with_the_steps_name() -> None:
    @pipeline
    def wrong() -> None:
        number(nonsense=1)  # type: ignore[call-arg]

    with pytest.raises(InvalidPipeline, match=r"step 'number': .*nonsense"):
        wrong()


def test_a_parameter_that_is_no_json_is_refused() -> None:
    @pipeline
    def wrong() -> None:
        number(object())  # type: ignore[arg-type]

    with pytest.raises(InvalidPipeline, match="parameter 'value' cannot be recorded"):
        wrong()


def test_after_takes_only_what_step_calls_return() -> None:
    @pipeline
    def wrong() -> None:
        number(after="load")  # type: ignore[call-arg]

    with pytest.raises(InvalidPipeline, match="after='load'"):
        wrong()


@pytest.mark.parametrize("name", ["", "a/b", "a:b", " a", "a@3", "x" * 201])
def test_names_that_the_server_would_refuse_are_refused_here(name: str) -> None:
    with pytest.raises(InvalidPipeline, match="cannot name"):
        step(name=name or " ")(lambda: None)


def test_outside_of_a_pipeline_a_step_is_its_function() -> None:
    assert add(1, 2) == 3


def test_the_same_code_and_parameters_give_the_same_snapshot() -> None:
    @pipeline
    def sums(b: int = 2) -> None:
        add(number(), b)

    first, again, other = (compiled(graph_of(sums, b=b), {"b": b}) for b in (2, 2, 3))
    assert first == again
    assert first.digest != other.digest
    assert first.id != other.id


def test_another_source_text_gives_another_digest() -> None:
    def make(text: str) -> Any:
        namespace: dict[str, Any] = {}
        exec(f"def work() -> int:\n    return {text}", namespace)  # noqa: S102 - a function without a file
        namespace["work"].__module__ = "somewhere"
        return step(namespace["work"])

    assert make("1").code_digest == make("1").code_digest
    assert make("1").code_digest != make("2").code_digest


def test_outputs_of_annotations() -> None:
    def unannotated(): ...  # type: ignore[no-untyped-def]

    def plain() -> int: ...

    def a_tuple() -> tuple[int, str]: ...

    def partly() -> tuple[Annotated[int, "a"], str]: ...

    def unresolvable(x: NotThere) -> Annotated[int, "kept"]: ...  # type: ignore[name-defined]  # noqa: F821

    names = {f.__name__: step(f).outputs.names for f in (unannotated, plain, a_tuple, partly, unresolvable)}
    assert names == {
        "unannotated": ("output",),
        "plain": ("output",),
        "a_tuple": ("output",),
        "partly": ("a", "output_1"),
        "unresolvable": ("kept",),
    }
    assert note.outputs.names == ()


def test_two_outputs_of_one_name_are_refused() -> None:
    @step
    def twice() -> tuple[Annotated[int, "a"], Annotated[int, "a"]]:
        return 1, 2

    with pytest.raises(InvalidPipeline, match="alike"):
        _ = twice.outputs


@pytest.mark.parametrize("source", ["async def f(): ...", "def f(): yield 1"])
def test_coroutines_and_generators_are_no_steps(source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - a function without a file
    with pytest.raises(InvalidPipeline, match="plain function"):
        step(namespace["f"])
