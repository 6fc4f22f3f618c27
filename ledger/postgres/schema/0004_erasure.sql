-- A data key for each person, wrapped by a key that is not in the database. A row without a key says that the person
-- was erased, by which event; a missing row is a loss, not an erasure.
CREATE TABLE ledger.subject_keys (
    workspace_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    wrapped_key bytea,
    erased_position bigint,
    PRIMARY KEY (workspace_id, subject_id),
    CHECK ((wrapped_key IS NULL) <> (erased_position IS NULL))
);

CREATE TRIGGER subject_keys_are_kept BEFORE DELETE OR TRUNCATE ON ledger.subject_keys
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- The only way to a key's end that the serving role has: next to the event that records it, in its transaction.
CREATE FUNCTION ledger.destroy_key(workspace uuid, subject uuid, erased_at bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger.events e WHERE e.workspace_id = workspace AND e.position = erased_at
                   AND e.stream_kind = 'person' AND e.stream_id = subject AND e.type = 'person.erased') THEN
        RAISE EXCEPTION 'no event erases subject % at position %', subject, erased_at
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO ledger.subject_keys VALUES (workspace, subject, NULL, erased_at)
        ON CONFLICT (workspace_id, subject_id) DO UPDATE SET wrapped_key = NULL, erased_position = erased_at;
END $$;
REVOKE ALL ON FUNCTION ledger.destroy_key(uuid, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.destroy_key(uuid, uuid, bigint) TO everline_app;
GRANT SELECT, INSERT (workspace_id, subject_id, wrapped_key) ON ledger.subject_keys TO everline_app;
