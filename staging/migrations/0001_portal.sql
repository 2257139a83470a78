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

-- What agencies report of their own dossiers. A dossier is one row: its log, each event once, in order of sequence. An
-- event costs one heap-only update (or one insert) and mostly no index entry, where a table of events beside one of
-- states costs two writes and an index entry. The current state is the log's last entry: the two cannot disagree.
CREATE TABLE sync_batches (
    agency text NOT NULL,
    batch text NOT NULL,
    digest bytea NOT NULL,
    answer jsonb,
    PRIMARY KEY (agency, batch)
);

-- `events` has 16 bytes an event, most significant first: the sequence, then seconds since 1970 times 16 plus the
-- status. Bytes and not numbers, because PL/pgSQL would copy a batch's array of numbers for each part cut out of it.
-- The room left on a page lets rows grow where they are: a dossier has some six to fifteen events.
CREATE TABLE sync_dossiers (
    key bigint PRIMARY KEY CHECK (key >= 0), -- agency (G00 to H99 as 0 to 199), then the 15 digits of the code
    events bytea NOT NULL CHECK (octet_length(events) > 0 AND octet_length(events) % 16 = 0)
) WITH (fillfactor = 50);

CREATE FUNCTION sync_number(eight_bytes bytea) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN ('x' || encode(eight_bytes, 'hex'))::bit(64)::bigint;

CREATE FUNCTION sync_code(key bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN key < 100000000000000000 THEN 'G' ELSE 'H' END
    || regexp_replace(lpad((key % 100000000000000000)::text, 17, '0'), '^(..)(.{8})', '\1-\2-');

CREATE FUNCTION sync_unpack(events bytea) RETURNS TABLE (place integer, sequence bigint, detail bigint)
LANGUAGE sql IMMUTABLE
AS $$
    SELECT place, sync_number(substr(events, place * 16 + 1, 8)), sync_number(substr(events, place * 16 + 9, 8))
    FROM generate_series(0, octet_length(events) / 16 - 1) AS place
$$;

CREATE VIEW sync_events AS
    SELECT sync_code(d.key) AS code, e.sequence, (e.detail & 15)::smallint AS status, to_timestamp(e.detail >> 4) AS at
    FROM sync_dossiers d CROSS JOIN LATERAL sync_unpack(d.events) e;

CREATE VIEW sync_states AS
    SELECT sync_code(d.key) AS code, e.sequence, (e.detail & 15)::smallint AS status, to_timestamp(e.detail >> 4) AS at
    FROM sync_dossiers d CROSS JOIN LATERAL sync_unpack(substr(d.events, octet_length(d.events) - 15)) e;

-- One batch in one call, hence one round trip and one transaction. Returns NULL when the key was used for another
-- batch. Dossier n of the batch is p_key[n] with p_events[n], in order of sequence and then of place in the batch.
-- From p_plain + 1 on are those with a sequence number more than once. p_places has each event's place in the batch,
-- in the order of p_events, 4 bytes each: seldom needed, and an array of numbers would be read one by one.
CREATE FUNCTION push_sync(
    p_agency text, p_batch text, p_digest bytea,
    p_key bigint[], p_events bytea[], p_places bytea, p_plain integer, p_rejected jsonb
) RETURNS jsonb LANGUAGE plpgsql
-- Plans are kept from the first calls on, when the tables are empty and reading them whole looks cheap; a thousand
-- batches later it costs five times as much. A batch is small and the tables grow: always go by the keys.
-- PostgreSQL before 18 counts what is switched off as a huge cost, which would have every call compiled.
SET jit = off SET enable_seqscan = off SET enable_nestloop = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_known sync_batches;
    v_stale bigint;
    v_late integer[];
    v_late_stale bigint;
    v_rejected jsonb := p_rejected;
    v_answer jsonb;
BEGIN
    -- An agency has its own dossiers, so two agencies never meet. Two batches of one agency take turns: what a batch
    -- reads cannot change until it commits, and as each takes this one lock first, none can deadlock.
    PERFORM pg_advisory_xact_lock(hashtext('push_sync'), hashtext(p_agency));
    INSERT INTO sync_batches (agency, batch, digest) VALUES (p_agency, p_batch, p_digest) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO v_known FROM sync_batches WHERE agency = p_agency AND batch = p_batch;
        RETURN CASE WHEN v_known.digest = p_digest THEN v_known.answer END;
    END IF;

    -- The common case is an event newer than all that is known of its dossier: nothing can be equal to it. Sequences
    -- are not negative, so their bytes compare as they do. Stale rows are neither written nor locked.
    WITH grown AS (
        UPDATE sync_dossiers d SET events = d.events || g.events
        FROM (SELECT unnest(p_key) AS key, unnest(p_events) AS events, generate_series(1, cardinality(p_key)) AS n) g
        WHERE d.key = ANY (p_key) AND d.key = g.key
            AND substr(d.events, octet_length(d.events) - 15, 8) < substr(g.events, 1, 8)
            AND g.n <= p_plain
        RETURNING g.n
    ), rest AS MATERIALIZED (
        SELECT g.*, d.events AS logged
        FROM (SELECT unnest(p_key) AS key, unnest(p_events) AS events, generate_series(1, cardinality(p_key)) AS n) g
            LEFT JOIN LATERAL (SELECT events FROM sync_dossiers WHERE key = g.key OFFSET 0) d ON true
        WHERE g.n NOT IN (SELECT n FROM grown)
    ), opened AS (
        INSERT INTO sync_dossiers (key, events) SELECT key, events FROM rest WHERE logged IS NULL AND n <= p_plain
    ), judged AS (
        SELECT n, events, n <= p_plain AND position(events IN logged) % 16 = 1 AS is_stale
        FROM rest WHERE logged IS NOT NULL OR n > p_plain
    )
    SELECT coalesce(sum(octet_length(events) / 16) FILTER (WHERE is_stale), 0),
        array_agg(n) FILTER (WHERE is_stale IS NOT TRUE)
        INTO v_stale, v_late FROM judged;

    IF v_late IS NOT NULL THEN
        SELECT v_stale + stale, v_rejected || conflicts INTO v_stale, v_rejected
            FROM push_sync_late(p_key, p_events, p_places, v_late);
    END IF;

    v_answer := jsonb_build_object(
        'accepted', octet_length(p_places) / 4 - v_stale
            - (jsonb_array_length(v_rejected) - jsonb_array_length(p_rejected)),
        'stale', v_stale,
        'rejected', CASE WHEN v_rejected = p_rejected THEN p_rejected ELSE
            (SELECT jsonb_agg(r ORDER BY (r ->> 'index')::integer) FROM jsonb_array_elements(v_rejected) AS r) END);
    UPDATE sync_batches SET answer = v_answer WHERE agency = p_agency AND batch = p_batch;
    RETURN v_answer;
END $$;

-- The dossiers of a batch that need a look at each event: late ones, copies, contradictions. The first report of a
-- sequence number stays, be it from the log (index -1) or from the batch.
CREATE FUNCTION push_sync_late(
    p_key bigint[], p_events bytea[], p_places bytea, p_late integer[],
    OUT stale bigint, OUT conflicts jsonb
) LANGUAGE plpgsql SET jit = off AS $$
BEGIN
    WITH given AS (
        SELECT n, events, sum(octet_length(events) / 16) OVER (ORDER BY n) - octet_length(events) / 16 AS start
        FROM unnest(p_events) WITH ORDINALITY AS g (events, n)
    ), every AS (
        SELECT n, -1 AS index, e.sequence, e.detail
        FROM unnest(p_late) AS n
            CROSS JOIN LATERAL (SELECT events FROM sync_dossiers WHERE key = p_key[n] OFFSET 0) d
            CROSS JOIN LATERAL sync_unpack(d.events) e
        UNION ALL
        SELECT n, ('x' || encode(substr(p_places, (start + e.place)::integer * 4 + 1, 4), 'hex'))::bit(32)::integer,
            e.sequence, e.detail
        FROM given CROSS JOIN LATERAL sync_unpack(events) e
        WHERE n IN (SELECT unnest(p_late))
    ), judged AS (
        SELECT n, index, sequence, detail, row_number() OVER same AS copy, first_value(detail) OVER same AS kept,
            max(sequence) FILTER (WHERE index < 0) OVER (PARTITION BY n) AS newest
        FROM every WINDOW same AS (PARTITION BY n, sequence ORDER BY index)
    ), merged AS (
        INSERT INTO sync_dossiers AS d (key, events)
            SELECT p_key[n], string_agg(int8send(sequence) || int8send(detail), '' ORDER BY sequence)
            FROM judged WHERE copy = 1 GROUP BY n HAVING bool_or(index >= 0)
            ON CONFLICT (key) DO UPDATE SET events = excluded.events
    )
    SELECT count(*) FILTER (WHERE detail = kept AND (copy > 1 OR sequence <= newest)),
        coalesce(jsonb_agg(jsonb_build_object('index', index, 'reason',
            format('sequence %s of %s was reported before with status %s or another time',
                sequence, sync_code(p_key[n]), kept & 15))) FILTER (WHERE detail <> kept), '[]')
        INTO stale, conflicts FROM judged WHERE index >= 0;
END $$;
