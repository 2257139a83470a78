-- A dossier's history is what happened to its status, step by step, and nobody else writes it.

-- A change that leaves status and version as they are is none of the history's business. A version other than the next
-- one becomes NULL, which the table refuses: a history without gaps at no cost.
CREATE OR REPLACE FUNCTION note_next_status() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO dossier_history (code, version, previous, status)
        SELECT code, CASE WHEN after.version = before.version + 1 THEN after.version END, before.status, after.status
        FROM before JOIN after USING (code)
        WHERE after.status <> before.status OR after.version <> before.version;
    RETURN NULL;
END $$;

-- From the triggers of `dossiers` and its cascade the depth is two. By statement: once, however many rows.
CREATE FUNCTION refuse_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE integrity_constraint_violation
            USING MESSAGE = format('%s writes itself: change dossiers instead', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER dossier_history_by_itself BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON dossier_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_by_hand();
