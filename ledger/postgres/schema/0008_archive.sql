-- Which positions left ledger.events, and where they are. The rows of a workspace follow one another from position 1;
-- a restored archive keeps its row and its files.
CREATE TABLE ledger.archives (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    first_position bigint NOT NULL CHECK (first_position > 0),
    last_position bigint NOT NULL CHECK (last_position >= first_position),
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at timestamptz NOT NULL,
    url text NOT NULL,
    path text NOT NULL,
    manifest_sha256 bytea NOT NULL CHECK (length(manifest_sha256) = 32),
    archived_at timestamptz NOT NULL DEFAULT now(),
    restored_at timestamptz
);
CREATE INDEX archives_by_position ON ledger.archives (workspace_id, last_position);

-- In which archives a stream has events, and which versions: what folding an old stream needs to find them.
CREATE TABLE ledger.archived_streams (
    workspace_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    stream_kind text NOT NULL,
    archive_id uuid NOT NULL REFERENCES ledger.archives (id),
    first_version integer NOT NULL,
    last_version integer NOT NULL,
    PRIMARY KEY (workspace_id, stream_id, stream_kind, archive_id)
);

CREATE FUNCTION ledger.refuse_archive_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.workspace_id, OLD.first_position, OLD.last_position, OLD.path, OLD.manifest_sha256)
       IS DISTINCT FROM (NEW.id, NEW.workspace_id, NEW.first_position, NEW.last_position, NEW.path, NEW.manifest_sha256)
    THEN
        RAISE EXCEPTION 'an archive never changes: UPDATE on ledger.archives is refused'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER archives_are_immutable BEFORE UPDATE ON ledger.archives
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_archive_change();
CREATE TRIGGER archives_are_kept BEFORE DELETE OR TRUNCATE ON ledger.archives
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- Events may go only where a move left them behind (see 0006), or as part of what a recorded archive holds; the serving
-- role may delete none and record none.
CREATE FUNCTION ledger.refuse_event_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM deleted
        WHERE NOT EXISTS (
            SELECT FROM ledger.heads
            WHERE heads.workspace_id = deleted.workspace_id AND heads.presence = 'gone'
        ) AND NOT EXISTS (
            SELECT FROM ledger.archives
            WHERE archives.workspace_id = deleted.workspace_id AND archives.restored_at IS NULL
            AND deleted.position BETWEEN archives.first_position AND archives.last_position
        )
    ) THEN
        RAISE EXCEPTION 'history is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'append a compensating event instead';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER events_are_kept ON ledger.events;
CREATE TRIGGER events_are_kept AFTER DELETE ON ledger.events REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_event_deletion();

-- As in 0001, among the positions that are here: what is archived counts as before. A time inside an archive is looked
-- up in its files by the caller.
CREATE OR REPLACE FUNCTION ledger.position_at(workspace uuid, at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint;
    high bigint;
    middle bigint;
    recorded timestamptz;
BEGIN
    SELECT coalesce(max(a.last_position), 0) INTO low FROM ledger.archives a
        WHERE a.workspace_id = workspace AND a.restored_at IS NULL;
    SELECT h.position INTO high FROM ledger.heads h WHERE h.workspace_id = workspace;
    WHILE low < coalesce(high, 0) LOOP
        middle := (low + high + 1) / 2;
        SELECT e.recorded_at INTO STRICT recorded
            FROM ledger.events e WHERE e.workspace_id = workspace AND e.position = middle;
        IF recorded <= at THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
END $$;

GRANT SELECT ON ledger.archives, ledger.archived_streams TO everline_app;
