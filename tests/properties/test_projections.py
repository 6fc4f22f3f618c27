"""Query tables against the ledger: whatever the batches, they equal a replay; whatever the question, brute force."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projections import replay, selection
from projections.compare import verify
from projections.fold import fold
from projections.query import LIVE, When
from projections.registry import table, tables
from projections.rows import Rows
from projections.table import Row, Table, node_of, nodes_at
from projections.versions import closure
from tests.support.histories import History
from tests.support.projected import Oracle, Projected, projected
from tests.support.servers import PostgresServer
from tests.unit.projections.folding import Folded

few = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Each example is a workspace in PostgreSQL: shrinking one would take minutes, its seed reproduces it at once.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
seeds = st.integers(0, 2**32)
parts = st.floats(0, 1)

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
QUESTIONS = {
    "runs": (
        *("status", "pipeline", "name", "stack_id", "duration_seconds", "steps_completed", "started_at"),
        *("ended_at", "updated_at", "failure"),
    ),
    "stacks": ("name", "description"),
    "model_versions": ("stage", "name", "number", "model_id"),
    "artifacts": ("name", "version_count", "latest_version_number"),
    "metadata": ("key", "step", "step_index"),
    "steps": ("status", "name", "run_id", "attempt"),
    "events": ("type", "actor"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def base(postgres: PostgresServer) -> AsyncIterator[Projected]:
    """One database for the examples of this file; each takes a workspace of its own."""
    database = postgres.create_database()
    async with projected(database.app_dsn) as opened:
        yield opened
    postgres.drop_database(database.name)


@given(st.integers(1, 2**40), st.integers(1, 2**20), parts, parts)
def test_an_interval_is_found_from_every_position_inside(begin: int, length: int, part: float, moved: float) -> None:
    end = begin + length
    inside = min(end - 1, begin + int(part * length))
    head_before_it_closed = max(inside, int(end * (0.5 + moved / 2)))
    assert node_of(begin, end) in nodes_at(inside, head_before_it_closed)


@few
@given(seed=seeds, batches=st.lists(st.integers(1, 40), max_size=20), part=parts, replayed_at_once=st.integers(1, 60))
async def test_any_batches_equal_a_replay(
    base: Projected, seed: int, batches: list[int], part: float, replayed_at_once: int
) -> None:
    workspace = base.anew(seed)
    workspace.history.act(25)
    head = await workspace.record()
    reached = 0
    for size in batches:
        reached = await base.projector.catch_up(workspace.workspace_id, until=min(head, reached + size))
    await base.projector.catch_up(workspace.workspace_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "EVENTS_PER_BATCH_MAX", replayed_at_once)
        for until in (None, int(part * head)):
            compared = await verify(base.ledger.pool, base.ledger.reader, workspace.workspace_id, until=until)
            assert compared.equal, compared.first_difference


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_tables_that_are_folded_by_themselves_hold_what_they_hold_among_all(seed: int) -> None:
    """Else a declaration is missing: a projection looks at a table that its columns do not name."""
    history, versions = History(seed).act(150), Folded()
    events = [versions.next(stream, event) for stream, event in history.take()]
    whole = Rows(tables())
    fold(whole, events)
    for name in tables():
        alone = Rows({each: table(each) for each in closure([name])})
        fold(alone, events)
        assert alone.inserted(name) == whole.inserted(name), name
        assert list(alone.closed(name)) == list(whole.closed(name)), name


@few
@given(seed=seeds, cuts=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=15))
async def test_redelivered_and_overlapping_events_are_applied_once(
    base: Projected, seed: int, cuts: list[tuple[int, int]]
) -> None:
    workspace = base.anew(seed)
    workspace.history.act(15)
    await workspace.record()
    events = await workspace.events()
    reached = 0
    for back, size in cuts:
        first = max(0, reached - back)
        reached = await base.projector.apply(workspace.workspace_id, events[first : reached + size])
    await base.projector.apply(workspace.workspace_id, events)
    compared = await verify(base.ledger.pool, base.ledger.reader, workspace.workspace_id)
    assert compared.equal, compared.first_difference
    assert compared.position == len(events)


@few
@given(seed=seeds, data=st.data())
async def test_lists_equal_brute_force_at_every_moment(base: Projected, seed: int, data: st.DataObject) -> None:
    workspace = base.anew(seed)
    workspace.history.act(30)
    head = await workspace.project()
    oracle = Oracle(await workspace.events())
    with pytest.MonkeyPatch.context() as patch:
        # So few candidates at first that every way to a page is taken.
        patch.setattr(selection, "CANDIDATES_MIN", data.draw(st.sampled_from([1, 64])))
        patch.setattr(selection, "CANDIDATES_GROWTH", 2)
        await _ask(workspace, oracle, data, head=head)


async def _ask(workspace: Projected, oracle: Oracle, data: st.DataObject, *, head: int) -> None:
    for _ in range(25):
        name = data.draw(st.sampled_from(sorted(QUESTIONS)))
        position = data.draw(st.integers(0, head))
        rows = oracle.at(name, position)
        filters, expected = _filtered(data, name, rows)
        sort = data.draw(st.sampled_from([None, None, "created", *QUESTIONS[name][:-1]]))
        sort = sort and data.draw(st.sampled_from(["", "-"])) + sort
        when = LIVE if position == head and data.draw(st.booleans()) else When(str(position))
        found = await _all_pages(
            workspace, name, filters=filters, sort=sort, when=when, limit=data.draw(st.integers(1, 9))
        )
        assert found == [_shown(name, row) for row in _sorted(expected, sort)], (name, position, filters, sort)


@few
@given(seed=seeds, part=parts)
async def test_details_and_counts_equal_brute_force(base: Projected, seed: int, part: float) -> None:
    workspace = base.anew(seed)
    workspace.history.act(30)
    position = int(part * await workspace.project())
    oracle, when = Oracle(await workspace.events()), When(str(position))
    for name in ("runs", "models", "taggings", "components"):
        for row in oracle.at(name, position):
            found = await workspace.queries.get(workspace.workspace_id, name, str(row["id"]), when=when)
            assert _shown(name, found) == _shown(name, row)
    for name, by in (("runs", "status"), ("model_versions", "stage"), ("events", "type")):
        counted = await workspace.queries.counts(workspace.workspace_id, name, by=by, when=when)
        values = [row[by] for row in oracle.at(name, position)]
        assert counted["counts"] == {value: values.count(value) for value in values}
    runs = oracle.at("runs", position)
    for filters in ((), (("status", "failed"),), (("status", "oneof:failed,completed"), ("pipeline", "contains:1"))):
        counted = await workspace.queries.counts(
            workspace.workspace_id, "runs", by="status", filters=filters, when=when
        )
        passed = [
            row["status"]
            for row in runs
            if not filters or (row["status"] in filters[0][1] and (len(filters) < 2 or "1" in row["pipeline"]))
        ]
        assert counted["counts"] == {value: passed.count(value) for value in passed}


@few
@given(seed=seeds, first=parts, second=parts, limit=st.integers(1, 12))
async def test_a_difference_equals_brute_force(
    base: Projected, seed: int, first: float, second: float, limit: int
) -> None:
    workspace = base.anew(seed)
    workspace.history.act(30)
    head = await workspace.project()
    start, end = sorted((int(first * head), int(second * head)))
    oracle = Oracle(await workspace.events())
    expected = {
        (declared.kind, id_): told
        for declared in tables().values()
        if not declared.append_only
        for id_, told in _differences(oracle, declared, start, end).items()
    }
    found: list[Row] = []
    cursor = None
    while True:
        page = await workspace.queries.diff(
            workspace.workspace_id, before=str(start), after=str(end), limit=limit, cursor=cursor
        )
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(found) == len(expected)
    assert {
        (item["kind"], item["id"]): (item["change"], {change["field"] for change in item["changes"]}) for item in found
    } == expected


def _differences(oracle: Oracle, declared: Table, start: int, end: int) -> dict[Any, tuple[str, set[str]]]:
    """What came, changed and went, and which fields say so."""
    before, after = ({row["id"]: row for row in oracle.at(declared.name, moment)} for moment in (start, end))
    names = [column.name for column in declared.own] + (["tags"] if declared.taggable else [])
    told: dict[Any, tuple[str, set[str]]] = {id_: ("deleted", set()) for id_ in before.keys() - after.keys()}
    for id_, row in after.items():
        old = before.get(id_)
        fields = {
            name
            for name in names
            if (row[name] != old[name] if old is not None else row[name] not in (None, "", [], {}))
        }
        if old is None or fields:
            told[id_] = ("created" if old is None else "changed", fields)
    return told


def _filtered(data: st.DataObject, name: str, rows: list[Row]) -> tuple[list[tuple[str, str]], list[Row]]:
    """Some filters as a caller writes them, and the rows that pass them."""
    filters = []
    for _ in range(data.draw(st.integers(0, 2))):
        column = data.draw(st.sampled_from(QUESTIONS[name]))
        text, passes = _condition(data, column, [row[column] for row in rows])
        filters.append((column, text))
        rows = [row for row in rows if passes(row[column])]
    if name == "runs" and data.draw(st.booleans()):
        bound = data.draw(st.sampled_from([0.1, 0.5, 10]))
        filters.append(("parameters.C", f"gte:{bound}"))
        rows = [row for row in rows if row["parameters"]["C"] >= bound]
    if name in ("runs", "stacks") and data.draw(st.booleans()):
        tags = sorted({tag for row in rows for tag in row["tags"]}) or ["none"]
        tag = data.draw(st.sampled_from(tags))
        filters.append(("tags", f"contains:{tag}"))
        rows = [row for row in rows if tag in row["tags"]]
    return filters, rows


def _condition(data: st.DataObject, column: str, values: list[Any]) -> tuple[str, Callable[[Any], bool]]:
    known = sorted({value for value in values if value is not None and column != "failure"}) or []
    if not known or data.draw(st.integers(0, 5)) == 0:
        null = data.draw(st.booleans())
        return ("isnull:" if null else "isnotnull:"), lambda value: (value is None) == null
    chosen = data.draw(st.sampled_from(known))
    text = chosen.isoformat() if hasattr(chosen, "isoformat") else str(chosen)
    options = [*COMPARE, "notequals", "oneof"] + (
        ["contains", "startswith", "notcontains"] if isinstance(chosen, str) else []
    )
    match data.draw(st.sampled_from(options)):
        case "notequals":
            return f"notequals:{text}", lambda value: value != chosen
        case "oneof":
            return f"oneof:{text}", lambda value: value == chosen
        case "contains":
            return f"contains:{text[2:5]}", lambda value: value is not None and text[2:5] in value
        case "notcontains":
            return f"notcontains:{text[2:5]}", lambda value: value is None or text[2:5] not in value
        case "startswith":
            return f"startswith:{text[:3]}", lambda value: value is not None and value.startswith(text[:3])
        case name:
            return f"{name}:{text}", lambda value: value is not None and COMPARE[name](value, chosen)


def _sorted(rows: list[Row], sort: str | None) -> list[Row]:
    """NULL is the greatest value; rows that are equal follow by creation."""
    column = (sort or "-created").removeprefix("-")

    def key(row: Row) -> tuple[Any, ...]:
        value = () if column == "created" else ((row[column] is None, row[column] if row[column] is not None else 0),)
        return (*value, row["created_position"], row["id"])

    return sorted(rows, key=key, reverse=sort is None or sort.startswith("-"))


async def _all_pages(workspace: Projected, name: str, *, limit: int, **question: Any) -> list[Row]:
    items: list[Row] = []
    cursor = None
    while True:
        page = await workspace.queries.list(
            workspace.workspace_id, name, limit=limit, cursor=cursor, count=True, **question
        )
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            assert page["total"] == len(items)
            return items


def _shown(name: str, row: Row) -> Row:
    return {column.name: row[column.name] for column in table(name).shown()}
