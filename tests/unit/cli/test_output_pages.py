"""A list of any length on stdout: what its pages give in each form, and that it is one document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from everline.cli.output import emit_in_pages
from everline.cli.parameters import Output

PAGES = [
    {"items": [{"name": "a"}, {"name": "ü"}], "next": "x", "to": {"position": 3}},
    {"items": [], "next": "y", "to": {"position": 3}},
    {"items": [{"name": "c"}], "next": None, "to": {"position": 3}},
]
WHOLE = {"items": [{"name": "a"}, {"name": "ü"}, {"name": "c"}], "next": None, "to": {"position": 3}}
NOTHING = [{"items": [], "next": None, "to": {"position": 3}}]


def told(form: Output, pages: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    def one_by_one() -> Iterator[dict[str, Any]]:
        yield from pages

    tables: list[list[dict[str, Any]]] = []
    found = emit_in_pages(form, one_by_one(), name=lambda item: str(item["name"]), table=tables.append)
    return found, capsys.readouterr().out or "|".join(",".join(item["name"] for item in items) for items in tables)


def test_json_and_yaml_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    found, text = told(Output.JSON, PAGES, capsys)
    assert (found, json.loads(text)) == (True, WHOLE)
    found, text = told(Output.YAML, PAGES, capsys)
    assert (found, yaml.safe_load(text)) == (True, WHOLE)


def test_names_and_tables_come_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(Output.NAME, PAGES, capsys) == (True, "a\nü\nc\n")
    assert told(Output.TABLE, PAGES, capsys) == (True, "a,ü|c")


@pytest.mark.parametrize("form", list(Output))
def test_nothing_is_still_a_document(form: Output, capsys: pytest.CaptureFixture[str]) -> None:
    found, text = told(form, NOTHING, capsys)
    assert not found
    if form is Output.JSON:
        assert json.loads(text) == NOTHING[0]
