"""`everline completion`: completion of commands, options and names in your shell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script
from typer._completion_shared import install as install_script

from everline.cli.groups import branch
from everline.cli.output import line, note

app = branch("Completion of commands, options and names in your shell.")


class Shell(StrEnum):
    """The shells that are supported."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    PWSH = "pwsh"


ShellArgument = Annotated[Shell, typer.Argument(help="Your shell.")]


@app.command()
def show(shell: ShellArgument) -> None:
    """Print the script, to be sourced or stored."""
    line(get_completion_script(prog_name="everline", complete_var="_EVERLINE_COMPLETE", shell=shell.value))


@app.command()
def install(shell: ShellArgument) -> None:
    """Write the script to where the shell finds it."""
    _, path = install_script(shell=shell.value, prog_name="everline", complete_var="_EVERLINE_COMPLETE")
    note(f"completion installed in {path}; it takes effect in a new shell")
