"""`everline context`: named places to work in, kept in the configuration file."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from everline.cli import output, tables
from everline.cli.completion import complete_context
from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure, UsageFailure
from everline.cli.groups import branch
from everline.cli.parameters import Output, OutputOption

if TYPE_CHECKING:
    from everline.config import Configuration

app = branch("Named places to work in: a server, a workspace, a stack. Kept in a file of yours.")

COLUMNS = ("active", "name", "url", "workspace", "stack")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The context's name.", autocompletion=complete_context)
]


class NoSuchContext(CommandFailure):
    """The configuration file has no context of that name."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


@app.command("list")
def list_contexts(form: OutputOption = Output.TABLE) -> None:
    """List the contexts of this machine."""
    from everline.config import config_file, read_configuration

    configuration = read_configuration()
    items = [
        {"active": name == configuration.active, "name": name, **asdict(context)}
        for name, context in configuration.contexts.items()
    ]
    output.emit(
        form,
        {"items": items, "next": None},
        names=lambda: [str(item["name"]) for item in items],
        table=lambda: tables.show(items, tables.columns(COLUMNS)) if items else output.note(f"none in {config_file()}"),
    )


@app.command()
def use(name: NameArgument) -> None:
    """Make a context the one that commands use from now on."""
    from everline.config import read_configuration, write_configuration

    configuration = known(read_configuration(), name)
    write_configuration(replace(configuration, active=name))
    output.line(f"using {name}")


@app.command("set")
def set_context(
    name: NameArgument,
    url: Annotated[str | None, typer.Option("--url", help="The server, such as http://127.0.0.1:8237.")] = None,
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="The workspace.")] = None,
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="The stack that runs use.")] = None,
) -> None:
    """Create a context, or change what you name of it; the first one becomes the active one."""
    from everline.config import Context, read_configuration, write_configuration

    given = {
        key: value for key, value in {"url": url, "workspace": workspace, "stack": stack}.items() if value is not None
    }
    if not given:
        raise UsageFailure("nothing to set", hint="name a --url, a --workspace or a --stack")
    configuration = read_configuration()
    context = replace(configuration.contexts.get(name, Context()), **given)
    contexts = {**configuration.contexts, name: context}
    write_configuration(replace(configuration, contexts=contexts, active=configuration.active or name))
    output.line(f"{name}: {', '.join(f'{key} {value}' for key, value in asdict(context).items() if value)}")


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A context; the active one unless named.", autocompletion=complete_context),
    ] = None,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show where commands go: what the context, the environment and this machine's server come to."""
    from everline.config import config_file, read_configuration, resolve

    if name:
        known(read_configuration(), name)
    target = resolve(context=name)
    document = {"context": name or read_configuration().active or None, "file": str(config_file()), **asdict(target)}
    output.emit(
        form,
        document,
        names=lambda: [str(document["context"] or "")],
        table=lambda: output.facts(document),
    )


def known(configuration: Configuration, name: str) -> Configuration:
    """The configuration, if it has this context."""
    if name not in configuration.contexts:
        raise NoSuchContext(
            f"there is no context {name!r}", hint=f"known: {', '.join(configuration.contexts) or 'none'}"
        )
    return configuration
