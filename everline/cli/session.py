"""One command's conversation with a server: which one, in which workspace, as of which moment.

`reading` and `writing` give a command its session and the options that go with it, so that every command has the same.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from everline import calls
from everline.calls import PAGE_SIZE_MAX, Call
from everline.cli.moments import parse_moment
from everline.cli.parameters import AsOfOption, ContextOption, Output, OutputOption, WorkspaceOption
from everline.client import CONTROL, Client
from everline.ids import new_id
from everline.resources import CONTROL_TABLES

CONTROL_COMMANDS = frozenset(
    {
        *("create-workspace", "update-workspace"),
        *("register-person", "update-person", "place-legal-hold", "release-legal-hold", "erase-person"),
    }
)

Row = dict[str, Any]
Command = Callable[..., None]


class Session:
    """Speaks the HTTP API through the SDK's client; answers are the API's documents as they are."""

    def __init__(self, client: Client, control: Client, output: Output) -> None:
        self.client, self._control, self.output = client, control, output

    @property
    def url(self) -> str:
        """The server."""
        return self.client.url

    @property
    def workspace(self) -> str:
        """The workspace, as it was named."""
        return self.client.workspace

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Row:
        """A document of the workspace, as of the session's moment."""
        return self._client(path.partition("/")[0] in CONTROL_TABLES).ask(path, params)

    def get_timeless(self, path: str, params: Mapping[str, Any] | None = None) -> Row:
        """A document that is the same at every moment, or names its moments itself."""
        target = self.client.place.path(*path.split("/"))
        return self.client.send(Call("GET", target, dict, calls.present(params or {}), repeatable=True))

    def get_root(self, path: str, params: Mapping[str, Any] | None = None) -> Row:
        """A document of the whole server, such as `info`."""
        return self.client.send(Call("GET", f"/v1/{path}", dict, calls.present(params or {}), repeatable=True))

    def post(self, path: str, body: Mapping[str, Any]) -> Row:
        """The answer to what is asked of or done to the workspace without being one command."""
        target = self.client.place.path(*path.split("/"))
        key = {"Idempotency-Key": new_id()}
        return self.client.send(Call("POST", target, dict, headers=key, body=dict(body), repeatable=True))

    def command(self, name: str, body: Mapping[str, Any], *, expected_version: int | None = None) -> Row:
        """Do something; answers the receipt."""
        client = self._client(name in CONTROL_COMMANDS)
        return asdict(client.command(name, body, expected_version=expected_version))

    def page(self, table: str, params: Mapping[str, Any]) -> Row:
        """One page of a table."""
        return self.get(table, params)

    def every(self, table: str, params: Mapping[str, Any]) -> Row:
        """All pages of a table as one document."""
        return all_pages(lambda cursor: self.get(table, {**params, "limit": PAGE_SIZE_MAX, **cursor}))

    def differences(self, before: str, after: str | None, *, kind: str | None) -> Iterator[Row]:
        """What differs between two moments, page by page: one at a time is held, however long it all is."""
        asked = {"from": before, "to": after, "kind": kind, "limit": PAGE_SIZE_MAX}
        page = self.get_timeless("diff", asked)
        yield page
        while cursor := page["next"]:
            page = self.get_timeless("diff", {**asked, "cursor": cursor})
            yield page

    def entity(self, table: str, ref: str) -> Row:
        """One entity with its children."""
        return self.get(f"{table}/{ref}")

    def history(self, table: str, ref: str, *, limit: int) -> Row:
        """The newest changes of one entity."""
        return self.get(f"{table}/{ref}/history", {"limit": limit})

    def follow(self, after: int | None) -> Iterator[Row]:
        """Events as they are recorded, without end."""
        for event in self.client.follow(after=after):
            yield dict(event)

    def _client(self, is_control: bool) -> Client:
        """Workspaces are entities of the control ledger, which has positions of its own."""
        return self._control if is_control else self.client


def all_pages(read: Callable[[Mapping[str, str]], Row]) -> Row:
    """The pages that `read` answers, each with the cursor parameter of the one before, as one document."""
    page = read({})
    items = list(page["items"])
    while cursor := page["next"]:
        page = read({"cursor": cursor})
        items += page["items"]
    return {**page, "items": items}


@contextmanager
def open_session(
    output: Output, *, context: str | None, workspace: str | None, as_of: str | None = None
) -> Iterator[Session]:
    """A session with the server of the context."""
    with Client(workspace=workspace, context=context) as client, Client(client.url, CONTROL) as control:
        yield Session(client.as_of(as_of), control.as_of(as_of), output) if as_of else Session(client, control, output)


def reading(function: Command) -> Command:
    """Gives a command its session and the options --as-of, --workspace, --context and --output."""
    return _with_session(function, output=OutputOption, as_of=AsOfOption)


def writing(function: Command) -> Command:
    """As `reading`, without --as-of: for what happens now, and for what is the same at every moment."""
    return _with_session(function, output=OutputOption)


def session_without_output(function: Command) -> Command:
    """As `reading`, for a command with forms of output of its own."""
    return _with_session(function, as_of=AsOfOption)


def _with_session(function: Command, *, output: Any = None, as_of: Any = None) -> Command:
    offered: dict[str, tuple[Any, Any]] = {
        "as_of": (as_of, None),
        "workspace": (WorkspaceOption, None),
        "context": (ContextOption, None),
    }
    if output is not None:
        offered["output"] = (output, Output.TABLE)
    options = {name: found for name, found in offered.items() if found[0] is not None}

    @functools.wraps(function)
    def command(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in options}
        with open_session(
            chosen.get("output", Output.TABLE),
            context=chosen["context"],
            workspace=chosen["workspace"],
            as_of=parse_moment(chosen["as_of"]) if chosen.get("as_of") else None,
        ) as session:
            function(session, **given)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + added
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__  # typer would read the hints of the undecorated function
    return command
