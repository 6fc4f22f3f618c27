"""`KIND/NAME`, the way to name an entity of any kind on the command line."""

from __future__ import annotations

import difflib

from everline.cli.failures import UsageFailure
from everline.cli.nouns import NOUNS, Noun, noun_of_kind
from everline.cli.session import Session


def parse_entity(text: str) -> tuple[Noun, str]:
    """The noun and the name in `stack/prod`; the kind may be written `model_version` or `model-version`."""
    kind, slash, name = text.partition("/")
    if not slash or not name:
        raise UsageFailure(
            f"{text!r} is not KIND/NAME", hint="for example stack/prod, run/1f0c9a2e or model-version/churn@3"
        )
    noun = noun_of_kind(kind)
    if noun is None:
        known = [each.name for each in NOUNS]
        close = difflib.get_close_matches(kind, known)
        raise UsageFailure(
            f"there is no kind {kind!r}",
            hint=f"did you mean {' or '.join(close)}?" if close else f"kinds: {', '.join(known)}",
        )
    return noun, name


def resolve_entity(session: Session, text: str) -> tuple[str, str]:
    """The kind and the id of the entity that `KIND/NAME` names now."""
    noun, name = parse_entity(text)
    return noun.kind, str(session.entity(noun.table, name)["id"])
