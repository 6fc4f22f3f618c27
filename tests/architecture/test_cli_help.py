"""Every command and option explains itself, starting fast, and the README's reference names every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer._click import Command
from typer.core import TyperArgument, TyperGroup, TyperOption

from everline.cli.groups import ENTRIES, load
from everline.cli.nouns import CHILD_COLUMNS, NOUNS
from gateway.client_tables import TARGET, source
from projections.registry import tables

README = Path(__file__).parents[2] / "README.md"
REFERENCE_HEADING = "## Command line"
SERVER_ROOMS = ("ledger", "commands", "projections", "gateway", "runners")
HEAVY = ("httpx2", "pandas", "sklearn", "yaml", "rich.table")


def walk(command: Command, path: str) -> Iterator[tuple[str, Command]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from walk(child, f"{path} {name}")


COMMANDS = dict(pair for name in ENTRIES for pair in walk(load(name), name))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_says_what_it_does(path: str) -> None:
    text = COMMANDS[path].help or ""
    assert len(text) > 10, f"`everline {path}` has no help"
    assert text.rstrip().splitlines()[0].rstrip().endswith((".", ";", ",")) or "\n" in text, (
        f"`everline {path}`: {text!r}"
    )


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_does(path: str) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, TyperOption | TyperArgument):
            assert parameter.help, f"`everline {path}`: {parameter.name} has no help"


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_every_command_can_be_printed(path: str) -> None:
    command = COMMANDS[path]
    with typer.Context(command, info_name=f"everline {path}") as context:
        assert path in command.get_help(context)


def test_every_noun_has_the_reading_verbs() -> None:
    for noun in NOUNS:
        assert {f"{noun.name} {verb}" for verb in ("list", "show", "history")} <= set(COMMANDS)


def test_the_clients_list_of_tables_is_the_servers() -> None:
    assert TARGET.read_text() == source(), "run `make api`"


def test_lists_show_columns_that_their_tables_have() -> None:
    for declared in tables().values():
        assert set(declared.listed) <= {column.name for column in declared.shown()}
    for name, columns in CHILD_COLUMNS.items():
        assert set(columns) <= {column.name for column in tables()[name].shown()}


def test_reads_take_a_moment_a_workspace_a_context_and_a_form() -> None:
    for noun in NOUNS:
        for verb in ("list", "show", "history"):
            options = {parameter.name for parameter in COMMANDS[f"{noun.name} {verb}"].params}
            assert {"as_of", "workspace", "context", "output"} <= options


def test_the_readme_documents_every_command() -> None:
    _, heading, reference = README.read_text().partition(REFERENCE_HEADING)
    if not heading:
        pytest.skip("the README has no command line reference")
    reference = reference.partition("\n## ")[0]
    leaves = [path for path, command in COMMANDS.items() if not isinstance(command, TyperGroup)]
    missing = [path for path in leaves if not all(word in reference for word in path.split())]
    assert not missing


def test_help_loads_neither_servers_nor_what_only_answers_need() -> None:
    """The reason why `everline --help` answers within 200 ms."""
    program = (
        "import sys; from everline.cli.main import run; code = run(['--help']); "
        f"loaded = [name for name in {(*SERVER_ROOMS, *HEAVY)!r} if name in sys.modules]; "
        "sys.exit(f'loaded: {loaded}' if loaded or code else 0)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
