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
