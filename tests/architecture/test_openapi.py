"""The OpenAPI document: valid, complete, and in step with what is routed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from commands.registry import public_command_types
from gateway.app import ROUTES
from gateway.openapi import document
from gateway.problems import STATUS_BY_CODE
from gateway.query_routes import public_tables

UNDESCRIBED = {"/docs", "/v1/openapi.json"}
"""The document itself, and the page that shows it."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def resolved(item: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in item:
        return item
    found: Any = document()
    for part in item["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def test_it_is_valid_openapi_3_1() -> None:
    validate(msgspec.json.decode(msgspec.json.encode(document())))


def test_operation_ids_are_unique_names() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", each) for each in ids)


def test_every_command_has_its_own_path_and_schema() -> None:
    paths = document()["paths"]
    for name in public_command_types():
        operation = paths[f"/v1/workspaces/{{workspace}}/commands/{name}"]["post"]
        body = resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        assert body["additionalProperties"] is False


def test_every_table_has_its_queries_and_every_column_its_filter() -> None:
    paths = document()["paths"]
    for path, table in public_tables().items():
        at = f"/v1/workspaces/{{workspace}}/{path}"
        taken = {resolved(parameter)["name"] for parameter in paths[at]["get"]["parameters"]}
        assert {column.name for column in table.shown()} <= taken
        assert {"as_of", "min_position", "sort", "limit", "cursor", "count", "fields"} <= taken
        for more in ("/counts", "/{ref}", "/{ref}/history"):
            assert at + more in paths


def test_every_operation_lists_every_problem() -> None:
    for _, _, operation in operations():
        if operation["operationId"] == "show_metrics":
            continue
        described = {int(status) for status in operation["responses"]}
        assert described == {200, *STATUS_BY_CODE.values()}


def test_every_described_path_is_routed_and_every_route_is_described() -> None:
    described = {(path, method.upper()) for path, method, _ in operations()}
    for path, method in described:
        assert routed(path, method), (path, method)
    for route in ROUTES:
        if route.path not in UNDESCRIBED:
            methods = route.methods or set()
            assert any(method in methods and route.path_regex.match(path) for path, method in described), (
                f"{route.path} is not described"
            )


def routed(path: str, method: str) -> bool:
    sample = re.sub(r"\{[a-z]+\}", "x", path)
    return any(method in (route.methods or ()) and route.path_regex.match(sample) for route in ROUTES)


@pytest.mark.parametrize("name", ["Receipt", "Problem", "Event", "RegisterStack", "PipelinesRow"])
def test_shared_schemas_have_their_names(name: str) -> None:
    assert name in document()["components"]["schemas"]
