"""Which server and workspace to talk to, and where this machine keeps configuration, artifacts and unsent commands.

An argument wins over the environment, the environment over the active context of the configuration file, that over
the server that `everline up` started here.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from everline.errors import InvalidConfiguration

DEFAULT_URL = "http://127.0.0.1:8237"
DEFAULT_WORKSPACE = "default"
DEFAULT_STACK = "local"
CONTEXT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True)
class Context:
    """A named place to work in. Empty fields fall back to the next source."""

    url: str = ""
    workspace: str = ""
    stack: str = ""


@dataclass(frozen=True)
class Configuration:
    """The configuration file: the contexts by name, and the active one."""

    contexts: dict[str, Context]
    active: str = ""


@dataclass(frozen=True)
class Target:
    """The server, workspace and stack that were chosen."""

    url: str
    workspace: str
    stack: str


def config_file() -> Path:
    """`EVERLINE_CONFIG`, else config.toml in the user's configuration directory."""
    return _from_environment("EVERLINE_CONFIG") or _user_directory("config") / "config.toml"


def data_directory() -> Path:
    """Where `everline up` keeps everything: `EVERLINE_DATA_DIR`, else the user's data directory."""
    return _from_environment("EVERLINE_DATA_DIR") or _user_directory("data")


def spool_directory() -> Path:
    """Where commands wait until a server answered them: `EVERLINE_SPOOL_DIR`, else under the user's state directory."""
    return _from_environment("EVERLINE_SPOOL_DIR") or state_directory() / "spool"


def state_directory() -> Path:
    """What this machine keeps between runs that belongs to no server."""
    return _user_directory("state")


def read_configuration() -> Configuration:
    """The configuration file, or an empty configuration when there is none. Raises InvalidConfiguration."""
    path = config_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        contexts = {name: Context(**fields) for name, fields in document.get("contexts", {}).items()}
        return Configuration(contexts, document.get("active", ""))
    except FileNotFoundError:
        return Configuration({})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidConfiguration(
            f"{path} cannot be used: {error}", hint="correct it, or set EVERLINE_CONFIG to another file"
        ) from error


def write_configuration(configuration: Configuration) -> None:
    """Replaces the configuration file. Raises InvalidConfiguration for a name that cannot be a context's."""
    lines = [f"active = {_quoted(configuration.active)}"] if configuration.active else []
    for name, context in configuration.contexts.items():
        if not CONTEXT_NAME.fullmatch(name):
            raise InvalidConfiguration(f"{name!r} cannot name a context", hint="letters, digits, '_', '-' and '.'")
        fields = {key: value for key, value in asdict(context).items() if value}
        lines += ["", f"[contexts.{_quoted(name)}]", *(f"{key} = {_quoted(value)}" for key, value in fields.items())]
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.replace(path)


def resolve(url: str | None = None, workspace: str | None = None, *, context: str | None = None) -> Target:
    """The place to work in. A context that is named but does not exist raises InvalidConfiguration."""
    chosen = _context(context)
    return Target(
        url=(url or os.environ.get("EVERLINE_URL") or chosen.url or _url_of_local_server() or DEFAULT_URL).rstrip("/"),
        workspace=workspace or os.environ.get("EVERLINE_WORKSPACE") or chosen.workspace or DEFAULT_WORKSPACE,
        stack=os.environ.get("EVERLINE_STACK") or chosen.stack or DEFAULT_STACK,
    )


def _context(name: str | None) -> Context:
    configuration = read_configuration()
    name = name or os.environ.get("EVERLINE_CONTEXT") or configuration.active
    if not name:
        return Context()
    try:
        return configuration.contexts[name]
    except KeyError:
        known = ", ".join(configuration.contexts) or "none"
        raise InvalidConfiguration(f"there is no context {name!r} in {config_file()}", hint=f"known: {known}") from None


def _url_of_local_server() -> str | None:
    """What `everline up` noted while it runs; it takes the note away when it stops, a crash may leave a stale one."""
    try:
        note = json.loads((data_directory() / "run" / "gateway.json").read_text())
        return str(note["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def _user_directory(kind: str) -> Path:
    import platformdirs

    match kind:
        case "config":
            return Path(platformdirs.user_config_dir("everline"))
        case "state":
            return Path(platformdirs.user_state_dir("everline"))
        case _:
            return Path(platformdirs.user_data_dir("everline"))


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset once non-ASCII characters stay as they are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
