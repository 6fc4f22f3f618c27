"""`list`, `show` and `history`, made for every noun from its row in the table of nouns."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from everline.cli import nouns, output, tables
from everline.cli.failures import UsageFailure
from everline.cli.groups import branch
from everline.cli.parameters import (
    AllOption,
    ColumnsOption,
    CountOption,
    FilterOption,
    LimitOption,
    Ref,
    SortOption,
)
from everline.cli.references import with_names
from everline.cli.session import Session, reading

LIST_LIMIT = 20
HISTORY_LIMIT = 50
PAGE_SIZE_MAX = 1000


def reads_of(name: str) -> typer.Typer:
    """An application with the reading verbs of a noun; the noun's own module adds the writing ones."""
    noun = nouns.noun(name)
    app = branch(noun.help)
    app.command("list", help=f"List {noun.plural}, newest first.")(list_command(noun))
    app.command("show", help=f"Show one {noun.words} with everything that belongs to it.")(show_command(noun))
    app.command("history", help=f"Show every change of one {noun.words}: when, who, what.")(history_command(noun))
    return app


def list_command(noun: nouns.Noun) -> Callable[..., None]:
    """The verb `list` of a noun."""

    @reading
    def command(
        session: Session,
        filters: FilterOption = None,
        sort: SortOption = None,
        limit: LimitOption = LIST_LIMIT,
        every: AllOption = False,
        columns: ColumnsOption = None,
        count: CountOption = False,
    ) -> None:
        asked = parse_filters(filters or []) | ({"sort": sort} if sort else {})
        if count:
            total = session.page(noun.table, {**asked, "count": "true", "limit": 1})["total"]
            output.emit(
                session.output, {"total": total}, names=lambda: [str(total)], table=lambda: output.line(str(total))
            )
            return
        page = session.every(noun.table, asked) if every else session.page(noun.table, {**asked, "limit": limit})
        output.emit_page(session, page, columns=chosen(columns) or noun.columns, what=noun.plural)

    return command


def show_command(noun: nouns.Noun) -> Callable[..., None]:
    """The verb `show` of a noun."""

    @reading
    def command(session: Session, ref: Ref) -> None:
        output.emit_entity(session, session.entity(noun.table, ref))

    return command


def history_command(noun: nouns.Noun) -> Callable[..., None]:
    """The verb `history` of a noun."""

    @reading
    def command(session: Session, ref: Ref, limit: LimitOption = HISTORY_LIMIT) -> None:
        emit_history(session, noun.table, ref, limit=limit)

    return command


def emit_history(session: Session, table: str, ref: str, *, limit: int) -> None:
    """Write the changes of one entity, a row per changed field."""
    page = session.history(table, ref, limit=limit)
    output.emit(
        session.output,
        page,
        names=lambda: [str(item["position"]) for item in page["items"]],
        table=lambda: show_changes(
            session, [({key: item[key] for key in SHARED}, item["changes"]) for item in page["items"]]
        ),
    )
    if page.get("next"):
        output.note(f"the newest {len(page['items'])} changes; --limit N shows more")


SHARED = ("position", "recorded_at", "actor", "types")
CHANGE = ("field", "from", "to")


def show_changes(session: Session, items: list[tuple[output.Row, list[output.Row]]]) -> None:
    """A table of changes: names for people, whole rows with ids for programs."""
    columns = tables.columns([*items[0][0], *CHANGE]) if items else []
    for_people = sys.stdout.isatty()
    rows = tables.by_change(items, whole=not for_people)
    tables.show(with_names(session, rows) if for_people else rows, columns)


def chosen(columns: str | None) -> tuple[str, ...]:
    """`a,b` as a tuple; empty when nothing was chosen."""
    return tuple(column.strip() for column in columns.split(",") if column.strip()) if columns else ()


def parse_filters(filters: list[str]) -> dict[str, list[str]]:
    """`status=oneof:failed,stopped` as query parameters; the server checks fields and operators."""
    parsed: dict[str, list[str]] = {}
    for text in filters:
        field, separator, condition = text.partition("=")
        if not separator or not field.strip():
            raise UsageFailure(
                f"--filter {text!r} is not FIELD=OP:VALUE", hint="for example status=failed or created_at=gt:2026-11-01"
            )
        parsed.setdefault(field.strip(), []).append(condition)
    return parsed
