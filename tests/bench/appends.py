"""Durable appends through the store's API, with every check, against others on the same server.

Slices of all subjects take turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import psycopg

from tests.bench import message_db
from tests.bench.orders import Writers
from tests.bench.processes import cpu_seconds
from tests.bench.report import Budget, Row, at_least, at_most
from tests.bench.stand import Stand
from tests.bench.timings import Timings, one_after_another
from tests.support.servers import Database

CONNECTIONS_MAX = 64
WARM_UP_SECONDS = 0.2
PLAIN_TABLE = """
CREATE TABLE plain_events (
    position bigserial PRIMARY KEY, stream_id uuid NOT NULL, version integer NOT NULL, event_id uuid NOT NULL,
    type text NOT NULL, data bytea NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream_id, version)
)
"""
EVERLINE, SKETCH, PLAIN = "durable append", "bare group commit", "plain autocommit insert"
MESSAGE_DB_ONE, MESSAGE_DB_MANY = "message-db write, one category", "message-db write, 16 categories"
EVENTSOURCING, EVENTSOURCING_BATCH = "eventsourcing recorder", "eventsourcing recorder, 100 a batch"
TWO = ", two processes"


class Measured(NamedTuple):
    """What a subject did with so many producers, and PostgreSQL's CPU time meanwhile."""

    timings: Timings
    server_cpu: float


def measure(stand: Stand) -> list[Row]:
    """Rows for each number of producers."""
    database = stand.postgres.create_database()
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute(PLAIN_TABLE)
    message_db.create(database.owner_dsn)
    rows: list[Row] = []
    with writers(stand, database) as subjects:
        for producers in stand.scale.producers:
            rows += rows_of(producers, in_turns(stand, subjects, producers))
    stand.postgres.drop_database(database.name)
    return rows


@contextmanager
def writers(stand: Stand, database: Database) -> Iterator[dict[str, Writers]]:
    """The subjects' processes, by name."""
    dsn = database.owner_dsn  # the subjects beside the store have tables of the owner's
    command = [sys.executable, "-m", "tests.bench.producer"]
    commands = {
        EVERLINE: ([*command, "everline", database.app_dsn], 1),
        SKETCH: ([*command, "sketch", dsn], 1),
        PLAIN: ([*command, "plain", dsn], 1),
        MESSAGE_DB_ONE: ([*command, "message_db_one", dsn], 1),
        MESSAGE_DB_MANY: ([*command, "message_db_many", dsn], 1),
        EVERLINE + TWO: ([*command, "everline", database.app_dsn], 2),
        SKETCH + TWO: ([*command, "sketch", dsn], 2),
    }
    if python := stand.peers_python(EVENTSOURCING):
        recorder = [str(python), "-m", "tests.bench.peers.eventsourcing_recorder", dsn]
        commands[EVENTSOURCING] = ([*recorder, "1"], 1)
        commands[EVENTSOURCING_BATCH] = ([*recorder, "100"], 1)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Writers(words, processes=processes))
            for name, (words, processes) in commands.items()
        }


def in_turns(stand: Stand, subjects: Mapping[str, Writers], producers: int) -> dict[str, Measured]:
    """Every subject that can have so many producers, a slice each, round after round."""
    taking_part = {name: writers for name, writers in subjects.items() if takes_part(name, producers)}
    pids = {"postgres": stand.postgres.server.pid}
    slices: dict[str, list[Timings]] = {name: [] for name in taking_part}
    server_cpu = dict.fromkeys(taking_part, 0.0)
    for writers in taking_part.values():
        writers.run(producers, seconds=min(WARM_UP_SECONDS, stand.scale.slice_seconds))
    for _ in range(stand.scale.rounds):
        for name, writers in taking_part.items():
            before = cpu_seconds(pids)["postgres"]
            slices[name].append(writers.run(producers, seconds=stand.scale.slice_seconds))
            server_cpu[name] += cpu_seconds(pids)["postgres"] - before
    return {name: Measured(one_after_another(slices[name]), server_cpu[name]) for name in taking_part}


def takes_part(name: str, producers: int) -> bool:
    if name in (EVERLINE, SKETCH):
        return True
    if name.endswith(TWO):
        return producers > 1
    if name == EVENTSOURCING_BATCH:
        return producers == 1
    return producers <= (16 if name == EVENTSOURCING else CONNECTIONS_MAX)


def rows_of(producers: int, measured: Mapping[str, Measured]) -> list[Row]:
    """One number of producers; each of ours against the bare group commit, and against each peer."""
    rows: list[Row] = []
    for name, result in measured.items():
        if name.startswith(EVERLINE):
            reference = SKETCH + (TWO if name.endswith(TWO) else "")
            rows += ours(name, producers, measured[name], reference=(reference, measured[reference]))
        else:
            ratio = measured[EVERLINE].timings.per_second / result.timings.per_second
            rows.append(row(name, producers, result, reference=f"{EVERLINE} / this", ratio=ratio))
    return rows


def ours(name: str, producers: int, result: Measured, *, reference: tuple[str, Measured]) -> list[Row]:
    """The budgets hold for 64 producers."""
    ratio = result.timings.per_second / reference[1].timings.per_second
    rate = row(name, producers, result, reference=reference[0], ratio=ratio)
    if producers != 64:
        return [rate]
    p99 = result.timings.quantile_ms(0.99)
    title = f"{name}, 64 producers"
    return [
        rate._replace(budget=at_least(15_000)),
        Row(f"{title}: of the bare one", ratio, "", reference[0], ratio, budget=at_least(0.75, of="ratio")),
        Row(f"{title}: p99", p99, "ms", budget=at_most(8)),
    ]


def row(
    name: str, producers: int, result: Measured, *, reference: str, ratio: float, budget: Budget | None = None
) -> Row:
    events = len(result.timings.each)
    cpu = f"CPU us: writer {result.timings.cpu / events * 1e6:.0f}, postgres {result.server_cpu / events * 1e6:.0f}"
    return Row(
        f"{name}, {producers} producer{'s' * (producers > 1)}",
        result.timings.per_second,
        "events/s",
        reference,
        ratio,
        f"{result.timings.spread}; {cpu}",
        budget,
    )
