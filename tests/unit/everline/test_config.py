"""Which server is chosen, and the configuration file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everline.config import Configuration, Context, config_file, read_configuration, resolve, write_configuration
from everline.errors import InvalidConfiguration

CONFIGURATION = Configuration(
    {"prod": Context("https://everline.example/", "team", "gpu"), "other": Context("http://other:1")}, active="prod"
)


def test_the_file_is_read_as_written() -> None:
    assert read_configuration() == Configuration({})
    write_configuration(CONFIGURATION)
    assert read_configuration() == CONFIGURATION


def test_argument_environment_context_local_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("http://argument:1/").url == "http://argument:1"
    monkeypatch.setenv("EVERLINE_URL", "http://environment:1")
    write_configuration(CONFIGURATION)
    assert resolve().url == "http://environment:1"
    monkeypatch.delenv("EVERLINE_URL")
    assert (resolve().url, resolve().workspace, resolve().stack) == ("https://everline.example", "team", "gpu")
    assert resolve(context="other").url == "http://other:1"
    monkeypatch.setenv("EVERLINE_CONTEXT", "other")
    assert resolve().url == "http://other:1"
    monkeypatch.delenv("EVERLINE_CONTEXT")
    write_configuration(Configuration({}))
    assert resolve().url == "http://127.0.0.1:8237"
    note = home / "data/run/gateway.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"url": "http://127.0.0.1:9999", "pid": 1}))
    assert resolve().url == "http://127.0.0.1:9999"


def test_an_unknown_context_names_the_known_ones() -> None:
    write_configuration(CONFIGURATION)
    with pytest.raises(InvalidConfiguration, match="known: prod, other"):
        resolve(context="nope")


@pytest.mark.parametrize("text", ["active = ", "contexts = 3", "[contexts.a]\ncolour = 'red'"])
def test_a_file_that_cannot_be_used_is_named(text: str) -> None:
    config_file().write_text(text)
    with pytest.raises(InvalidConfiguration, match=r"config\.toml cannot be used"):
        read_configuration()


def test_a_context_needs_a_usable_name() -> None:
    with pytest.raises(InvalidConfiguration, match="cannot name a context"):
        write_configuration(Configuration({"a b": Context()}))
