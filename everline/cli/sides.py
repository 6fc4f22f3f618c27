"""Reads what of a run is compared: the run, its steps with named outputs, its metadata."""

from __future__ import annotations

from everline.cli.comparing import Side
from everline.cli.references import with_names
from everline.cli.session import Session


def read_side(session: Session, ref: str) -> Side:
    """One run with its steps and metadata, all of them."""
    run = session.entity("runs", ref)
    steps = sorted(session.every("steps", {"run_id": run["id"]})["items"], key=lambda step: step["index"])
    metadata = session.every("metadata", {"resource_id": run["id"]})["items"]
    return Side(run, with_names(session, steps), metadata)
