"""A pipeline from a file, and its parameters from text, as the command line has them."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import msgspec

from everline.errors import InvalidParameter, InvalidPipeline
from everline.execution.results import PipelineRun
from everline.pipeline import OnFailure, Pipeline


def load_pipeline(path: str | Path, name: str | None = None) -> Pipeline[Any]:
    """The pipeline of a Python file; `name` (its variable or its name) is needed when there are several. The file's
    folder becomes importable, as with `python FILE`. Raises InvalidPipeline."""
    path = Path(path).absolute()
    found = {variable: value for variable, value in vars(_module(path)).items() if isinstance(value, Pipeline)}
    known = ", ".join(found) or "none"
    if name is None:
        if len({id(each) for each in found.values()}) == 1:
            return next(iter(found.values()))
        raise InvalidPipeline(f"{path} has {len(found)} pipelines: {known}", hint=f"name one: {path.name}:NAME")
    for variable, each in found.items():
        if name in {variable, each.name}:
            return each
    close = difflib.get_close_matches(name, found, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"pipelines there: {known}"
    raise InvalidPipeline(f"{path} has no pipeline {name!r}", hint=hint)


def _module(path: Path) -> ModuleType:
    """Executes the file as a module that is named after it, so that what it defines can be pickled."""
    if not path.is_file():
        raise InvalidPipeline(f"there is no file {path}")
    name = path.stem
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    if name in sys.modules or name in sys.stdlib_module_names:
        name = f"everline_pipeline_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidPipeline(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def parse_parameters(pipeline: Pipeline[Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Parameters written as text, read by the annotations of the pipeline's function; without one, JSON or else text.
    Raises InvalidParameter."""
    known = pipeline.signature.parameters
    hints = _hints(pipeline)
    parsed = {}
    for name, text in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"parameters: {', '.join(known) or 'none'}"
            raise InvalidParameter(f"pipeline {pipeline.name!r} has no parameter {name!r}", hint=hint)
        parsed[name] = parse_value(text, hints.get(name, inspect.Parameter.empty), name=name)
    missing = [name for name, each in known.items() if each.default is each.empty and name not in parsed]
    if missing:
        raise InvalidParameter(f"pipeline {pipeline.name!r} needs {', '.join(missing)}", hint="--param NAME=VALUE")
    return parsed


def parse_value(text: str, annotation: Any, *, name: str) -> Any:
    """One value. Text that is JSON of the annotated type is taken as that, else it is converted."""
    try:
        document = json.loads(text)
    except ValueError:
        document = text
    if annotation is inspect.Parameter.empty or annotation is Any:
        return document
    for candidate in (document, text):
        try:
            return msgspec.convert(candidate, type=annotation, strict=False)
        except msgspec.ValidationError as error:
            why = error
        except TypeError:
            return document  # a type of the person's own, which no text stands for
    raise InvalidParameter(f"parameter {name}={text!r}: {why}")


def run_file(
    path: str | Path,
    name: str | None = None,
    *,
    parameters: Mapping[str, str] | None = None,
    stack: str | None = None,
    run_name: str | None = None,
    on_failure: OnFailure | None = None,
) -> PipelineRun:
    """Loads a pipeline and runs it with parameters written as text; as a call, it raises RunFailed."""
    pipeline = load_pipeline(path, name).with_options(stack=stack, run_name=run_name, on_failure=on_failure)
    return pipeline.run(**parse_parameters(pipeline, parameters or {}))


def _hints(pipeline: Pipeline[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(pipeline.function)
    except (NameError, TypeError, AttributeError):
        return {}
