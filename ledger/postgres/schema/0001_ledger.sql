-- The ledger: one log per workspace, append-only by trigger and by privilege.

CREATE SCHEMA ledger;

-- One row per workspace. Locking it is the fence between appending processes: whoever holds it decides the next
-- positions. `clock` is the newest recorded_at given out, so that time never runs backwards in a workspace.
CREATE TABLE ledger.heads (
    workspace_id uuid PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    clock timestamptz NOT NULL DEFAULT '-infinity',
    frontier bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

CREATE TABLE ledger.events (
    workspace_id uuid NOT NULL,
    position bigint NOT NULL,
    stream_kind text NOT NULL,
    stream_id uuid NOT NULL,
    version integer NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    schema smallint NOT NULL,
    data bytea NOT NULL,
    actor text NOT NULL,
    command_id uuid NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id uuid,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    PRIMARY KEY (workspace_id, position),
    UNIQUE (workspace_id, stream_id, stream_kind, version)
);
ALTER TABLE ledger.events ALTER COLUMN data SET STORAGE EXTERNAL;

-- Every accepted command once: a repeat is answered from here. last_position < first_position means that it
-- changed nothing.
CREATE TABLE ledger.commands (
    workspace_id uuid NOT NULL,
    command_id uuid NOT NULL,
    request_hash bytea NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    stream_kind text NOT NULL,
    stream_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, command_id)
);

-- The current version of every stream.
CREATE TABLE ledger.streams (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (workspace_id, id, kind)
) WITH (fillfactor = 70);

-- What is unique across streams, and who holds it. Follows from the streams' states; keys sort bytewise so that
-- the last key under a prefix is one look-up.
CREATE TABLE ledger.claims (
    workspace_id uuid NOT NULL,
    key text COLLATE "C" NOT NULL,
    stream_kind text NOT NULL,
    stream_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, key)
);

-- How far each workspace was published to NATS. The epoch is part of message ids: a refill of a lost stream gets a
-- new one, so that the broker's duplicate window cannot swallow it.
CREATE TABLE ledger.relays (
    workspace_id uuid PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    epoch integer NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'append a compensating event instead';
END $$;

CREATE TRIGGER events_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER commands_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.commands
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- The last position recorded at or before a time: recorded_at grows with the position, so a binary search over the
-- primary key finds it in about twenty look-ups and appends pay for no index on time.
CREATE FUNCTION ledger.position_at(workspace uuid, at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    recorded timestamptz;
BEGIN
    SELECT h.position INTO high FROM ledger.heads h WHERE h.workspace_id = workspace;
    WHILE low < coalesce(high, 0) LOOP
        middle := (low + high + 1) / 2;
        SELECT e.recorded_at INTO STRICT recorded
            FROM ledger.events e WHERE e.workspace_id = workspace AND e.position = middle;
        IF recorded <= at THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
END $$;

-- For people with an SQL client: the data as jsonb.
CREATE VIEW ledger.readable_events AS
    SELECT workspace_id, position, stream_kind || '/' || stream_id AS stream, version, type, schema,
           convert_from(data, 'utf8')::jsonb AS data, actor, command_id, correlation_id, causation_id,
           occurred_at, recorded_at, event_id, encode(leaf_hash, 'hex') AS leaf_hash
    FROM ledger.events;

-- The role that serves requests can add history and never change it.
GRANT USAGE ON SCHEMA ledger TO everline_app;
GRANT SELECT, INSERT ON ledger.events, ledger.commands TO everline_app;
GRANT SELECT, INSERT, UPDATE ON ledger.heads, ledger.streams, ledger.relays TO everline_app;
GRANT SELECT, INSERT, DELETE ON ledger.claims TO everline_app;
GRANT SELECT ON ledger.readable_events TO everline_app;
