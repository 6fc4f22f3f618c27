"""`everline`: parses the command line, runs the command, and turns whatever happened into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure, report, wants_json
from everline.cli.groups import Root

COMPLETION_VARIABLE = "_EVERLINE_COMPLETE"
EPILOG = "Times: a position (1042), 2026-11-03T12:00Z, or 15m for a quarter of an hour ago."

app = typer.Typer(
    name="everline", cls=Root, add_completion=False, rich_markup_mode=None, no_args_is_help=True, epilog=EPILOG
)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers its exit code."""
    if COMPLETION_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    as_json = wants_json(arguments)
    try:
        code = root().main(
            list(arguments), prog_name="everline", complete_var=COMPLETION_VARIABLE, standalone_mode=False
        )
        sys.stdout.flush()
    except NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except ClickException as error:
        return _usage(error, as_json=as_json)
    except CommandFailure as error:
        report(error.problem(), as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        return _reader_gone()
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        return _refused(error, as_json=as_json)
    return code if isinstance(code, int) else ExitCode.OK


def print_version(wanted: bool) -> None:
    """`--version` answers and ends."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"everline {version('everline')}")
        raise typer.Exit


@app.callback()
def everline(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", is_eager=True, callback=print_version
    ),
) -> None:
    """The system of record for machine-learning work.

    Every change is an event, and every read can be asked as of any past moment.
    """


def root() -> TyperGroup:
    """The whole command tree, its branches still unloaded."""
    group = typer.main.get_group(app)
    group.name = "everline"
    return group


def _usage(error: ClickException, *, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context else "everline --help"
    failure = CommandFailure(error.format_message(), hint=hint)
    report(
        failure.problem() | {"code": "usage", "type": "urn:everline:problem:usage", "title": "usage"}, as_json=as_json
    )
    return error.exit_code


def _refused(error: Exception, *, as_json: bool) -> int:
    """An error of the SDK is reported; anything else is a defect and keeps its traceback."""
    from everline.cli.failures import exit_code_of
    from everline.errors import EverlineError

    if not isinstance(error, EverlineError):
        raise error
    report(error.problem, as_json=as_json)
    return exit_code_of(error)


def _reader_gone() -> int:
    """`everline events list | head` is no fault: stop without a word, and keep Python from flushing into the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


if __name__ == "__main__":
    main()
