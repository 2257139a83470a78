-- The portal's tables. Constraints here make wrong states impossible, whatever a handler does.
-- Runs on PostgreSQL 15 and later, in whichever schema the search path names.

CREATE TABLE accounts (
    account text PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('citizen', 'officer', 'agency')),
    agency text NOT NULL DEFAULT '' CHECK ((role = 'citizen') = (agency = '')),
    salt bytea NOT NULL,
    secret_hash bytea NOT NULL
);

CREATE TABLE procedures (
    code text PRIMARY KEY,
    agency text NOT NULL CHECK (agency ~ '^[GH][0-9]{2}$'),
    name text NOT NULL,
    name_plain text NOT NULL, -- lower case, without diacritics
    level text NOT NULL CHECK (level IN ('full', 'partial')),
    fee_vnd bigint NOT NULL CHECK (fee_vnd >= 0),
    words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', name_plain)) STORED
);
CREATE INDEX procedures_words ON procedures USING gin (words);
CREATE INDEX procedures_agency ON procedures (agency, code);

-- Filled at start-up from caodiem.dossier.TRANSITIONS; a step that is not in here cannot enter the history.
CREATE TABLE transitions (
    previous smallint NOT NULL,
    status smallint NOT NULL,
    PRIMARY KEY (previous, status)
);

CREATE TABLE dossiers (
    code text PRIMARY KEY CHECK (code ~ '^[GH][0-9]{2}-[0-9]{8}-[0-9]{7}$'),
    procedure text NOT NULL REFERENCES procedures,
    citizen text NOT NULL REFERENCES accounts,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
    version integer NOT NULL DEFAULT 1, -- counts the statuses it has had
    filing_digest bytea NOT NULL -- SHA-256 over what was filed: tells a repeat from another filing
);

CREATE TABLE dossier_history (
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    version integer NOT NULL,
    previous smallint,
    status smallint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (code, version),
    FOREIGN KEY (previous, status) REFERENCES transitions (previous, status),
    CHECK ((version = 1) = (previous IS NULL)),
    CHECK (previous IS NOT NULL OR status = 1)
);

CREATE TABLE components (
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    version integer NOT NULL, -- the dossier's version that they came with
    position smallint NOT NULL,
    name text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (code, version, position)
);
-- Signed PDFs are compressed already: trying again would only cost processor time.
ALTER TABLE components ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE payments (
    code text PRIMARY KEY REFERENCES dossiers ON DELETE CASCADE, -- one payment a dossier
    transaction text NOT NULL UNIQUE,
    amount_vnd bigint NOT NULL CHECK (amount_vnd > 0),
    paid_at timestamptz NOT NULL DEFAULT now()
);

-- The history writes itself, a row for each status, whoever changes a dossier. By statement, so that preparing
-- twenty thousand dossiers costs no twenty thousand calls.
CREATE FUNCTION note_first_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dossier_history (code, version, previous, status) SELECT code, version, NULL, status FROM after;
    RETURN NULL;
END $$;
CREATE TRIGGER dossiers_first_status AFTER INSERT ON dossiers
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_first_status();

-- The plan is kept from the first call, mostly for one dossier; a nested loop would then be used for thousands.
CREATE FUNCTION note_next_status() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO dossier_history (code, version, previous, status)
        SELECT code, after.version, before.status, after.status FROM before JOIN after USING (code);
    RETURN NULL;
END $$;
CREATE TRIGGER dossiers_next_status AFTER UPDATE ON dossiers
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_next_status();

-- What agencies report of their own dossiers: every event once, and beside the log the newest state of each dossier.
CREATE TABLE sync_batches (
    agency text NOT NULL,
    batch text NOT NULL,
    digest bytea NOT NULL,
    answer jsonb,
    PRIMARY KEY (agency, batch)
);

CREATE TABLE sync_events (
    code text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
    at timestamptz NOT NULL,
    PRIMARY KEY (code, sequence)
);

CREATE TABLE sync_states (
    code text PRIMARY KEY,
    sequence bigint NOT NULL,
    status smallint NOT NULL,
    at timestamptz NOT NULL,
    FOREIGN KEY (code, sequence) REFERENCES sync_events (code, sequence)
);

-- One batch in one call, hence one round trip and one transaction. Returns NULL when the key was used for another
-- batch. The order of work keeps two batches from deadlocking: key, then events, then states, each in key order.
CREATE FUNCTION push_sync(
    p_agency text, p_batch text, p_digest bytea,
    p_index integer[], p_code text[], p_sequence bigint[], p_status smallint[], p_at timestamptz[], p_rejected jsonb
) RETURNS jsonb LANGUAGE plpgsql
-- Plans are kept from the first calls on, when the tables are empty and reading them whole looks cheap; a thousand
-- batches later it costs five times as much. A batch is small and the tables grow: always go by the keys.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    v_known sync_batches;
    v_stale integer;
    v_conflicts jsonb;
    v_answer jsonb;
BEGIN
    INSERT INTO sync_batches (agency, batch, digest) VALUES (p_agency, p_batch, p_digest) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO v_known FROM sync_batches WHERE agency = p_agency AND batch = p_batch;
        RETURN CASE WHEN v_known.digest = p_digest THEN v_known.answer END;
    END IF;

    INSERT INTO sync_events (code, sequence, status, at)
        SELECT code, sequence, status, at FROM unnest(p_code, p_sequence, p_status, p_at) AS e (code, sequence, status, at)
        ORDER BY code, sequence
        ON CONFLICT DO NOTHING;

    -- An event is stale when the state, or an equal event earlier in the batch, already knows as much.
    WITH given AS (
        SELECT e.*, row_number() OVER (PARTITION BY code, sequence ORDER BY index) AS copy
        FROM unnest(p_index, p_code, p_sequence, p_status, p_at) AS e (index, code, sequence, status, at)
    ), judged AS (
        SELECT g.index, g.code, g.sequence, g.copy, s.sequence AS current, l.status AS logged,
            (l.status, l.at) IS DISTINCT FROM (g.status, g.at) AS conflicts
        FROM given g JOIN sync_events l USING (code, sequence) LEFT JOIN sync_states s USING (code)
    )
    SELECT count(*) FILTER (WHERE NOT conflicts AND (copy > 1 OR sequence <= current)),
        coalesce(jsonb_agg(jsonb_build_object('index', index, 'reason',
            format('sequence %s of %s was reported before with status %s or another time', sequence, code, logged))
            ) FILTER (WHERE conflicts), '[]')
        INTO v_stale, v_conflicts FROM judged;

    -- The state copies the log, not the batch. Stale rows are left out here, for ON CONFLICT would lock them all.
    INSERT INTO sync_states AS s (code, sequence, status, at)
        SELECT DISTINCT ON (l.code) l.code, l.sequence, l.status, l.at
        FROM unnest(p_code, p_sequence) AS e (code, sequence)
        JOIN sync_events l USING (code, sequence) LEFT JOIN sync_states c ON c.code = l.code
        WHERE c.code IS NULL OR c.sequence < l.sequence
        ORDER BY l.code, l.sequence DESC
        ON CONFLICT (code) DO UPDATE SET sequence = excluded.sequence, status = excluded.status, at = excluded.at
        WHERE s.sequence < excluded.sequence;

    v_answer := jsonb_build_object(
        'accepted', cardinality(p_code) - v_stale - jsonb_array_length(v_conflicts), 'stale', v_stale,
        'rejected', (SELECT coalesce(jsonb_agg(r ORDER BY (r ->> 'index')::integer), '[]')
                     FROM jsonb_array_elements(p_rejected || v_conflicts) AS r));
    UPDATE sync_batches SET answer = v_answer WHERE agency = p_agency AND batch = p_batch;
    RETURN v_answer;
END $$;
