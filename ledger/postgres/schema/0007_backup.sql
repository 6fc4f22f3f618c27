-- Backups read as the role that serves requests.

-- A backup says which schema it was made from.
GRANT SELECT ON public.everline_schema TO everline_app;

-- The commands of a stretch of the log are found through its events; those without events by their position. They are
-- rare, and only they pay for this index.
CREATE INDEX IF NOT EXISTS commands_without_events ON ledger.commands (workspace_id, first_position)
    WHERE last_position < first_position;
