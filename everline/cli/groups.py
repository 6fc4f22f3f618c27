"""Every top-level command, in the order of `everline --help`; a command's code is imported when it is asked for.

`--help` needs only this table, which keeps it under 200 ms.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import typer
from typer._click import Command, Context, HelpFormatter
from typer.core import TyperCommand, TyperGroup

from everline.cli.nouns import NOUNS

SENTENCE_LENGTH_MAX = 200


class Entry(NamedTuple):
    """A top-level command: `module` holds its `app`; a noun without one has just the reading verbs."""

    name: str
    help: str
    module: str


def _module(name: str) -> str:
    return "everline.cli.commands." + name.replace("-", "_")


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Start": (
        Entry("demo", "See the whole story on a real pipeline, in half a minute.", _module("demo")),
        Entry("up", "Start the system on this machine.", _module("up")),
        Entry("down", "Stop it; nothing is lost.", _module("down")),
        Entry("status", "What runs, since when, where.", _module("status")),
        Entry("backup", "Copy the ledger while it runs: create, list, verify.", _module("backup")),
        Entry("restore", "Bring a backup into an empty deployment.", _module("restore")),
    ),
    "Entities (each has list, show, history)": tuple(Entry(noun.name, noun.help, _module(noun.name)) for noun in NOUNS),
    "History": (
        Entry("events", "Who changed what, when: list, tail, show.", _module("events")),
        Entry("history", "Every change of one entity: history KIND/NAME.", _module("history")),
        Entry("diff", "What changed between two moments.", _module("diff")),
        Entry("rollback", "Plan, apply and list rollbacks.", _module("rollback")),
        Entry("erase", "Forget a person, at every moment of the past too.", _module("erase")),
        Entry("replay", "Prove that the query tables follow from the ledger.", _module("replay")),
        Entry("projection", "How far the query tables are: list, show, rebuild.", _module("projection")),
        Entry("verify", "Prove that history is what was sealed: here, or in a bundle.", _module("verify")),
        Entry("export", "Write events with their proof, to be checked anywhere.", _module("export")),
        Entry("witness", "Watch the checkpoints of other deployments, and be watched.", _module("witness")),
    ),
    "This machine": (
        Entry("context", "Which server and workspace the commands talk to.", _module("context")),
        Entry("sync", "Send what was recorded while the server was away.", _module("sync")),
        Entry("whoami", "As whom the server records what you do.", _module("whoami")),
        Entry("info", "Version, server and workspaces.", _module("info")),
        Entry("placement", "The PostgreSQLs that workspaces live on: list, drop.", _module("placement")),
        Entry("completion", "Completion for your shell: show, install.", _module("completion")),
    ),
}

ENTRIES = {entry.name: entry for entries in SECTIONS.values() for entry in entries}


class Root(TyperGroup):
    """The group behind `everline`: it lists from the table and imports only the command that is called."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002  the group's interface
        return list(ENTRIES)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002  the group's interface
        """A stand-in with the help text; `resolve_command` gives the real one."""
        entry = ENTRIES.get(cmd_name)
        return TyperCommand(entry.name, help=entry.help, rich_markup_mode=None) if entry else None

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name = args[0]
        if name not in ENTRIES:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            close = difflib.get_close_matches(name, ENTRIES)
            did_you_mean = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"There is no command {name!r}.{did_you_mean}")
        return name, load(name), args[1:]

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002  the group's interface
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(entry.name, entry.help) for entry in entries], col_max=20)


class Branch(TyperGroup):
    """A group that shows the whole first sentence of each of its commands."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        shown = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(SENTENCE_LENGTH_MAX)) for name, command in shown])


def branch(help_text: str) -> typer.Typer:
    """An application with sub-commands."""
    return typer.Typer(help=help_text, cls=Branch, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def leaf() -> typer.Typer:
    """An application that is one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


def load(name: str) -> Command:
    """The real command, with its sub-commands and options."""
    entry = ENTRIES[name]
    app = import_module(entry.module).app if find_spec(entry.module) else _reads_only(name)
    command = typer.main.get_command(app)
    command.name, command.help = name, command.help or entry.help
    return command


def _reads_only(name: str) -> typer.Typer:
    from everline.cli.reads import reads_of

    return reads_of(name)
