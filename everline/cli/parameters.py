"""The options that commands share, so that each is spelled and explained once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from everline.cli.completion import complete_context, complete_entity, complete_ref, completing


class Output(StrEnum):
    """How data is written to stdout."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[
    Output,
    typer.Option("--output", "-o", envvar="EVERLINE_OUTPUT", help="How to write the answer.", show_default=True),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="MOMENT", help="Answer as of this moment: a position, a time, or an age such as 15m."
    ),
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option("--workspace", "-w", envvar="EVERLINE_WORKSPACE", help="Another workspace than the context's."),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        "-c",
        envvar="EVERLINE_CONTEXT",
        help="Another context than the current one.",
        autocompletion=complete_context,
    ),
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="FIELD=OP:VALUE",
        help="Only rows that match, e.g. status=failed or duration_seconds=gt:60; repeat for several.",
    ),
]
SortOption = Annotated[
    str | None, typer.Option("--sort", metavar="FIELD", help="Order by a field; -field for descending.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most this many.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every one, however many there are.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="A,B", help="These fields instead of the usual ones; parameters.C reaches into one."
    ),
]
CountOption = Annotated[bool, typer.Option("--count", help="Only how many there are.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; recorded in the ledger.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="What it is for.")]
Ref = Annotated[
    str,
    typer.Argument(metavar="REF", help="Its name, its id, or the beginning of its id.", autocompletion=complete_ref),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="KEY=VALUE",
        help="A parameter of the pipeline; values read as JSON where they can. Repeat for several.",
    ),
]
StackOption = Annotated[
    str | None, typer.Option("--stack", "-s", help="The stack to run on.", autocompletion=completing("stacks"))
]
EntityArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND/NAME", help="For example stack/prod or model-version/churn@3.", autocompletion=complete_entity
    ),
]
