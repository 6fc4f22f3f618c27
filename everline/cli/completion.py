"""Names for the shell to complete, from the server, remembered for a minute.

A completion that fails or hangs ruins the prompt: nothing here raises, and the server gets one second.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from everline.cli.nouns import NOUNS

CACHE_SECONDS = 60.0
ANSWER_SECONDS_MAX = 1.0
NAMES_MAX = 200


class TooLate(Exception):
    """The time is up. No TimeoutError: the HTTP client would take that for a pause of the server and try again."""


def complete_ref(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the entities of the noun before the verb: `everline stack show <TAB>`."""
    noun = ctx.parent.info_name if ctx.parent else None
    table = next((known.table for known in NOUNS if known.name == noun), None)
    return names_beginning(ctx, table, incomplete) if table else []


def completing(table: str) -> Callable[[typer.Context, str], list[str]]:
    """A completer of the names in one table."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return names_beginning(ctx, table, incomplete)

    return complete


def complete_entity(ctx: typer.Context, incomplete: str) -> list[str]:
    """`KIND/NAME`: first the kinds, then the names of that kind."""
    kind, slash, name = incomplete.partition("/")
    if not slash:
        return [f"{noun.name}/" for noun in NOUNS if noun.name.startswith(kind)]
    table = next((noun.table for noun in NOUNS if noun.name == kind), None)
    return [f"{kind}/{found}" for found in names_beginning(ctx, table, name)] if table else []


def complete_context(incomplete: str) -> list[str]:
    """Names of the contexts in the configuration file."""
    try:
        from everline.config import read_configuration

        return [name for name in read_configuration().contexts if name.startswith(incomplete)]
    except Exception:
        return []


def names_beginning(ctx: typer.Context, table: str, beginning: str) -> list[str]:
    """The names in a table that begin so; none when the server does not answer in time."""
    try:
        context, workspace = ctx.params.get("context"), ctx.params.get("workspace")
        return [name for name in _names(table, context=context, workspace=workspace) if name.startswith(beginning)]
    except Exception:
        return []


def _names(table: str, *, context: str | None, workspace: str | None) -> list[str]:
    cache = _cache_file(table, context, workspace)
    try:
        if time.time() - cache.stat().st_mtime < CACHE_SECONDS:
            return list(json.loads(cache.read_text()))
    except (OSError, ValueError):
        pass  # no cache, or a broken one: ask
    names = _ask(table, context=context, workspace=workspace)
    cache.parent.mkdir(parents=True, exist_ok=True)
    written = cache.with_suffix(f".{os.getpid()}")
    written.write_text(json.dumps(names))
    written.replace(cache)
    return names


def _ask(table: str, *, context: str | None, workspace: str | None) -> list[str]:
    from everline.cli.output import name_of
    from everline.cli.parameters import Output
    from everline.cli.session import open_session

    with bounded(ANSWER_SECONDS_MAX), open_session(Output.JSON, context=context, workspace=workspace) as session:
        return [name_of(item) for item in session.page(table, {"limit": NAMES_MAX})["items"]]


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TooLate when the time is up, whatever the process is waiting for just then."""

    def too_late(_signal: int, _frame: FrameType | None) -> None:
        raise TooLate

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _cache_file(*parts: str | None) -> Path:
    import platformdirs

    place = (*parts, os.environ.get("EVERLINE_URL"), os.environ.get("EVERLINE_CONFIG"))
    digest = hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]
    return Path(platformdirs.user_cache_dir("everline")) / "completion" / f"{digest}.json"
