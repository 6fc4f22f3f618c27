-- Proof: who this deployment is, what it signed, and the hashes that prove it. `log_id` is a workspace, or the
-- deployment itself, whose log has the workspaces' checkpoints as its entries.

CREATE TABLE ledger.deployment (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL,
    name text NOT NULL CHECK (name ~ '^[^\s+]{1,100}$'),
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Every checkpoint that was ever signed: append-only like events.
CREATE TABLE ledger.signed_checkpoints (
    log_id uuid NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    note text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_id, size)
);

-- Up to 256 hashes each; level 0 are leaf hashes, a hash above is the root of a full tile below.
CREATE TABLE ledger.tiles (
    log_id uuid NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    number bigint NOT NULL CHECK (number >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) % 32 = 0 AND length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (log_id, level, number)
);
ALTER TABLE ledger.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- The deployment's log: which workspace had which checkpoint, in the order of sealing. The entry is the text of that
-- checkpoint, kept here too so that a workspace that was dropped whole is still named.
CREATE TABLE ledger.deployment_entries (
    number bigint PRIMARY KEY,
    workspace_id uuid NOT NULL,
    size bigint NOT NULL,
    entry text NOT NULL
);
CREATE INDEX deployment_entries_by_workspace ON ledger.deployment_entries (workspace_id, size);

-- Logs that the sealer does not sign, and why: a row for as long as it refuses.
CREATE TABLE ledger.seal_refusals (
    log_id uuid PRIMARY KEY,
    code text NOT NULL,
    detail text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now()
);

-- Logs of other deployments that this one watches, what it has seen of them, and the signed checkpoints that it
-- refused: two signed checkpoints that contradict each other convict whoever signed them.
CREATE TABLE ledger.witnessed_deployments (
    name text PRIMARY KEY,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.witnessed_checkpoints (
    origin text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    note text NOT NULL,
    witnessed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (origin, size)
);
CREATE TABLE ledger.refused_checkpoints (
    origin text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    note text NOT NULL,
    code text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (origin, size, root)
);

CREATE FUNCTION ledger.refuse_tile_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.log_id, NEW.level, NEW.number) = (OLD.log_id, OLD.level, OLD.number)
       AND substr(NEW.hashes, 1, length(OLD.hashes)) = OLD.hashes THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a tile only grows at its end: % on tile %/% is refused', TG_OP, OLD.level, OLD.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER tiles_only_grow BEFORE UPDATE OR DELETE ON ledger.tiles
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_tile_change();
CREATE TRIGGER tiles_are_kept BEFORE TRUNCATE ON ledger.tiles
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER deployment_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.deployment
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER signed_checkpoints_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.signed_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER deployment_entries_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.deployment_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER witnessed_checkpoints_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.witnessed_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER refused_checkpoints_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.refused_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

GRANT SELECT, INSERT ON ledger.deployment, ledger.signed_checkpoints, ledger.deployment_entries,
    ledger.witnessed_deployments, ledger.witnessed_checkpoints, ledger.refused_checkpoints TO everline_app;
GRANT SELECT, INSERT, UPDATE ON ledger.tiles TO everline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.seal_refusals TO everline_app;
