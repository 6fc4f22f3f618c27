-- Placement: a workspace lives on one PostgreSQL at a time. Where that is, is a fact of the control ledger; the head
-- row repeats what follows from it here, so that whoever appends sees it with the lock it takes anyway.

-- presence: `here` is the only place that is written to. A move goes here -> leaving -> gone at the source and
-- arriving -> here at the target; `leaving` and `gone` take no more events, `arriving` and `gone` answer no reader.
-- move_id: the move that set it, so that a mover which was given up undoes and opens nothing of another one.
-- schema: the pool schema of the query tables; null means one of the workspace's own.
ALTER TABLE ledger.heads
    ADD COLUMN presence text NOT NULL DEFAULT 'here' CHECK (presence IN ('here', 'leaving', 'arriving', 'gone')),
    ADD COLUMN move_id uuid,
    ADD COLUMN schema text;

-- What a move copies while writers wait is found by position. Commands with events are found through them; those
-- without any are rare, and only they pay for this index.
CREATE INDEX commands_without_events ON ledger.commands (workspace_id, first_position)
    WHERE last_position < first_position;

-- Programs say which schema they found before they work on it.
GRANT SELECT ON public.everline_schema TO everline_app;

-- What a move has left behind may be deleted by the owner, and nothing else: history is deleted only where it is gone.
CREATE FUNCTION ledger.refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM deleted
        WHERE NOT EXISTS (
            SELECT FROM ledger.heads
            WHERE heads.workspace_id = deleted.workspace_id AND heads.presence = 'gone'
        )
    ) THEN
        RAISE EXCEPTION 'history is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'append a compensating event instead';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER events_are_immutable ON ledger.events;
CREATE TRIGGER events_are_immutable BEFORE UPDATE OR TRUNCATE ON ledger.events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER events_are_kept AFTER DELETE ON ledger.events REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_deletion();
DROP TRIGGER commands_are_immutable ON ledger.commands;
CREATE TRIGGER commands_are_immutable BEFORE UPDATE OR TRUNCATE ON ledger.commands
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER commands_are_kept AFTER DELETE ON ledger.commands REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_deletion();
