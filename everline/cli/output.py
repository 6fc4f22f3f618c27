"""Answers on stdout in the form that was asked for. JSON and YAML carry exactly what the API said."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from everline.cli import cells, tables
from everline.cli.nouns import child_columns
from everline.cli.parameters import Output
from everline.cli.references import with_names

if TYPE_CHECKING:
    from everline.cli.session import Session

Row = dict[str, Any]
LABEL_GAP = 2
HIDDEN_FIELDS = frozenset({"as_of", "workspace_id", "created_position", "from_position", "deleted"})


def emit(output: Output, document: Any, *, names: Callable[[], Sequence[str]], table: Callable[[], None]) -> None:
    """Write one answer; `names` and `table` are called only when that form was asked for."""
    match output:
        case Output.JSON:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=_plain) + "\n")
        case Output.YAML:
            import yaml

            plain = json.loads(json.dumps(document, default=_plain))
            yaml.safe_dump(plain, sys.stdout, sort_keys=False, allow_unicode=True, width=10**6)
        case Output.NAME:
            sys.stdout.writelines(f"{name}\n" for name in names())
        case Output.TABLE:
            table()


def emit_in_pages(
    form: Output, pages: Iterator[Row], *, name: Callable[[Row], str], table: Callable[[list[Row]], None]
) -> bool:
    """Write a list of any length as its pages come in; whether there was anything in it."""
    if form is Output.JSON:
        return _emit_json(pages)
    if form is Output.YAML:
        *_, last = whole = list(pages)
        document = {**last, "items": [item for page in whole for item in page["items"]]}
        emit(form, document, names=list, table=lambda: None)
        return bool(document["items"])
    found = False
    for page in pages:
        items: list[Row] = page["items"]
        found = found or bool(items)
        if form is Output.NAME:
            sys.stdout.writelines(f"{name(item)}\n" for item in items)
        elif items:
            table(items)
    return found


def _emit_json(pages: Iterator[Row]) -> bool:
    """One document, written as its items come in; what else the last page says stands in front of its end."""
    found = False
    page: Row = {"items": []}
    sys.stdout.write('{\n  "items": [')
    for page in pages:
        for item in page["items"]:
            text = json.dumps(item, ensure_ascii=False, indent=2, default=_plain)
            sys.stdout.write(("," if found else "") + "\n" + textwrap.indent(text, "    "))
            found = True
    rest = {key: value for key, value in page.items() if key != "items"}
    tail = json.dumps(rest, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write(("\n  ]" if found else "]") + "," + tail[1:] + "\n")
    return found


def emit_page(session: Session, page: Mapping[str, Any], *, columns: Sequence[str], what: str) -> None:
    """Write a list; what was left out is said on stderr, so that nothing is cut silently."""
    items: list[Row] = page["items"]
    document = {
        key: page.get(key) for key in ("items", "as_of", "next", "total") if key != "total" or page.get(key) is not None
    }
    emit(
        session.output,
        document,
        names=lambda: [name_of(item) for item in items],
        table=lambda: tables.show(for_reader(session, items), tables.columns(columns)) if items else note(f"no {what}"),
    )
    if page.get("next"):
        note(f"the first {len(items)}; --limit N shows more, --all every one")


def emit_entity(session: Session, entity: Row) -> None:
    """Write one entity with its children."""
    emit(session.output, entity, names=lambda: [name_of(entity)], table=lambda: _describe(session, entity))


def emit_receipt(output: Output, receipt: Row, done: str) -> None:
    """Write what a command did: a line for people, the receipt for programs."""
    changed = receipt["last_position"] >= receipt["first_position"]
    what = f"{done} (position {receipt['last_position']})" if changed else f"{done}: nothing to change"
    emit(output, receipt, names=lambda: [str(receipt["id"])], table=lambda: line(what))


def line(text: str) -> None:
    """A line of an answer."""
    sys.stdout.write(text + "\n")


def facts(document: Mapping[str, Any]) -> None:
    """A line per fact: its label, and its value as the reader of stdout needs it."""
    room = max((len(key) for key in document), default=0) + LABEL_GAP
    for key, value in document.items():
        line(f"{key:<{room}}{_written(key, value, room)}" if sys.stdout.isatty() else f"{key}\t{cells.raw(value)}")


def note(text: str) -> None:
    """A remark for the person; never part of the answer."""
    sys.stderr.write(text + "\n")


def name_of(item: Row) -> str:
    """What other commands take: the name, else the id, else the position of an event."""
    return str(item.get("name") or item.get("id") or item.get("position"))


def is_children(value: Any) -> bool:
    """Whether a field of an entity is a bounded list of other entities."""
    return isinstance(value, dict) and isinstance(value.get("items"), list)


def for_reader(session: Session, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows as the reader of stdout needs them: names instead of ids for a person."""
    return with_names(session, rows) if sys.stdout.isatty() else rows


def _describe(session: Session, entity: Row) -> None:
    own = {key: value for key, value in entity.items() if not is_children(value) and key not in HIDDEN_FIELDS}
    facts(for_reader(session, [own])[0])
    for key, value in entity.items():
        if is_children(value):
            _describe_children(session, key, value)


def _describe_children(session: Session, key: str, children: Row) -> None:
    items: list[Row] = children["items"]
    if not items:
        return
    line("")
    total = children.get("total") or len(items)
    line(f"{key} ({len(items)} of {total})" if total > len(items) else f"{key} ({total})")
    wanted = child_columns(key) or [name for name in items[0] if name not in HIDDEN_FIELDS]
    tables.show(for_reader(session, items), tables.columns(wanted))


def _written(key: str, value: Any, indent: int) -> str:
    """A value beside its label; the lines of a longer text stand under one another."""
    if key == "failure" and isinstance(value, dict):
        value = f"{value.get('type')}: {value.get('message')}\n{value.get('traceback') or ''}".rstrip()
    if isinstance(value, str) and "\n" in value:
        return ("\n" + " " * indent).join(cells.escaped(part) for part in value.splitlines())
    return cells.shown(key, value)


def _plain(value: Any) -> Any:
    from datetime import datetime

    return cells.rfc3339(value) if isinstance(value, datetime) else str(value)
