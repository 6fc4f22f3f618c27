"""`everline verify`: is history what was sealed? Of a running system by its proofs and, on its own machine, by every
row of its database; or of a bundle, offline."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from everline.cli import output, tables
from everline.cli.exit_codes import ExitCode
from everline.cli.failures import CommandFailure
from everline.cli.groups import leaf
from everline.cli.operator import operator_command
from everline.cli.parameters import ContextOption, Output, OutputOption
from everline.cli.proofs import reporting
from everline.cli.session import open_session

app = leaf()

COLUMNS = ("log", "check", "events", "sealed", "code", "position", "detail")
OPERATOR_ANSWERS = (ExitCode.OK, ExitCode.VERIFICATION)


class ScanFailed(CommandFailure):
    """The operator's program could not read the database."""

    code = "cannot_verify"
    exit_code = ExitCode.SERVER


@app.command()
def verify(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A directory or .zip file of `export`; else what runs.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="NAME+ID+KEY", help="The key as you know it from elsewhere.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="The system's directory; else its own, if it is here."),
    ] = None,
    context: ContextOption = None,
    form: OutputOption = Output.TABLE,
) -> None:
    """Check that no event was changed, removed, inserted or swapped; exit code 3 and the first bad position if so."""
    rows = _bundle(bundle, key) if bundle is not None else _system(data_dir, key, context=context, form=form)
    broken = [row for row in rows if row["code"]]
    output.emit(form, rows, names=lambda: [row["log"] for row in rows], table=lambda: _show(rows))
    if broken:
        raise typer.Exit(ExitCode.VERIFICATION)


def _bundle(bundle: Path, key: str | None) -> list[dict[str, Any]]:
    from everline.proof.verify import check_bundle

    with reporting():
        found = check_bundle(bundle, key)
    if key is None:
        output.note(f"signed with {found['key']}: compare it with the key that you know from elsewhere (--key)")
    sealed = {"events": found["events"], "sealed": found["checkpoint_size"]}
    return [{"log": found["origin"], "check": f"positions {found['from']} to {found['to']}", **sealed, **_NOTHING}]


_NOTHING = {"code": None, "position": None, "last_position": None, "detail": None}


def _system(data_dir: Path | None, key: str | None, *, context: str | None, form: Output) -> list[dict[str, Any]]:
    from everline.proof.online import check_server
    from everline.proof.remembered import Remembered
    from everline.proof.verify import Key

    with open_session(form, context=context, workspace=None) as session, reporting():
        remembered = Remembered(session.url)
        if key is not None:
            remembered.key(Key(key))
        rows = [{"check": "proofs", "events": None, **row} for row in check_server(session.client, remembered)]
        remembered.save()
        here = data_dir or _directory_of(session.url)
    if here is None:
        output.note("only proofs were checked: every event is read on the system's own machine (--data-dir)")
        return rows
    return rows + _scan(here, key)


def _scan(data_dir: Path, key: str | None) -> list[dict[str, Any]]:
    """Every row of the database, read by the operator's program."""
    words = ["verify", "--data-dir", str(data_dir), "--output", "json", *(["--key", key] if key else [])]
    done = subprocess.run(operator_command(*words), capture_output=True, text=True, check=False)
    if done.returncode not in OPERATOR_ANSWERS:
        raise ScanFailed(done.stderr.strip() or "the operator's program ended without an answer")
    return [{"check": "every event" if row["is_here"] else "moved away", **row} for row in json.loads(done.stdout)]


def _directory_of(url: str) -> Path | None:
    """The data directory of this machine's system, if that is the server that was asked."""
    from everline.config import data_directory

    directory = data_directory()
    try:
        note = json.loads((directory / "run" / "gateway.json").read_text())
    except (OSError, ValueError):
        return None
    return directory if note.get("url") == url else None


def _show(rows: list[dict[str, Any]]) -> None:
    columns = COLUMNS if any(row["code"] for row in rows) else COLUMNS[:4]
    tables.show(rows, tables.columns(columns))
    broken = [row for row in rows if row["code"]]
    if broken:
        first = min(broken, key=lambda row: row["position"] or 0)
        output.note(f"NOT VERIFIED: {first['detail']}; first bad position {first['position']} of {first['log']}")
    else:
        output.note("verified: no event was changed, removed, inserted or swapped since it was sealed")
