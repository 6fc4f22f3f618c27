"""The `eventsourcing` library's PostgreSQL recorder in its default mode, with threads as its users have them.

Obeys the same orders as our own writers. Arguments: the DSN, and how many events one call records.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from uuid import uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import conninfo

from tests.bench.orders import orders, reply
from tests.bench.timings import Timings

THREADS_MAX = 16
BATCH = 100
STATE = json.dumps({"resource_id": str(uuid4()), "values": {"text": "x" * 310}}).encode()


def recorder(dsn: str) -> PostgresApplicationRecorder:
    """In a schema of its own."""
    known = conninfo.conninfo_to_dict(dsn)
    datastore = PostgresDatastore(
        dbname=str(known["dbname"]),
        host=str(known["host"]),
        port=str(known["port"]),
        user=str(known["user"]),
        password="",
        pool_size=THREADS_MAX,
        schema="eventsourcing",
    )
    with datastore.get_connection() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS eventsourcing")
    made = PostgresApplicationRecorder(datastore)
    made.create_table()
    return made


def write(events: PostgresApplicationRecorder, *, until: float, size: int, each: list[float]) -> None:
    """New streams, until it is time; notes what each event of a batch waited."""
    while (started := time.perf_counter()) < until:
        events.insert_events([StoredEvent(uuid4(), 1, "metadata:logged", STATE) for _ in range(size)])
        each.extend([time.perf_counter() - started] * size)


async def main(dsn: str, size: int) -> None:
    events = recorder(dsn)
    async for order in orders():
        each: list[float] = []
        started, cpu = time.perf_counter(), time.process_time()
        threads = [
            threading.Thread(
                target=write, args=(events,), kwargs={"until": started + order.seconds, "size": size, "each": each}
            )
            for _ in range(order.producers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reply(Timings(each, time.perf_counter() - started, time.process_time() - cpu))
    events.datastore.close()


if __name__ == "__main__":
    os.environ.pop("POSTGRES_ENABLE_DB_FUNCTIONS", None)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
