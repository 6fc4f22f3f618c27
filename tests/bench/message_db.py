"""A write function with the semantics that message-db publishes, written anew for this bench.

A message goes to a stream `category-id`. Writers of one category take turns by a transaction-wide advisory lock on
the category's hash; the stream's version is read and compared with the expected one; the global position is a serial.
One call, one message, one transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg

SCHEMA = """
CREATE TABLE messages (
    global_position bigserial PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    stream_name text NOT NULL,
    position bigint NOT NULL,
    type text NOT NULL,
    data jsonb,
    metadata jsonb,
    time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc')
);
CREATE UNIQUE INDEX messages_stream ON messages (stream_name, position);
CREATE INDEX messages_category ON messages (split_part(stream_name, '-', 1), global_position);

CREATE FUNCTION write_message(
    id uuid, stream text, type text, data jsonb, metadata jsonb DEFAULT NULL, expected bigint DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(split_part(stream, '-', 1), 0));
    SELECT coalesce(max(messages.position), -1) INTO last FROM messages WHERE stream_name = stream;
    IF expected IS NOT NULL AND expected <> last THEN
        RAISE EXCEPTION 'expected version % of stream %, found %', expected, stream, last;
    END IF;
    INSERT INTO messages (id, stream_name, position, type, data, metadata)
    VALUES (id, stream, last + 1, type, data, metadata);
    RETURN last + 1;
END $$;
"""
WRITE = "SELECT write_message(%s::uuid, %s::text, %s::text, %s::jsonb, NULL, -1)"


def create(owner_dsn: str) -> None:
    """The table and the function, once for a database."""
    with psycopg.connect(owner_dsn, autocommit=True) as owner:
        owner.execute(SCHEMA)


async def write(connection: psycopg.AsyncConnection[Any], *, stream: str, id_: str, data: str) -> None:
    """One message that must be the first of its stream."""
    await connection.execute(WRITE, (id_, stream, "metadata.logged", data))
