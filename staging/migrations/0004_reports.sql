-- What agencies report of their dossiers beside the statuses: records and progress, in the published wire formats.

CREATE TABLE reported_dossiers (
    code text PRIMARY KEY CHECK (code ~ '^[GH][0-9]{2}-[0-9]{8}-[0-9]{7}$'),
    procedure text NOT NULL,
    record jsonb NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now()
);

-- Every record that was ever reported, so that one that is sent again late does not undo a newer one.
CREATE TABLE reported_records (
    code text NOT NULL REFERENCES reported_dossiers ON DELETE CASCADE,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (code, digest)
);

-- A step is who did what when: reported twice, it is the same one.
CREATE TABLE reported_progress (
    code text NOT NULL REFERENCES reported_dossiers ON DELETE CASCADE,
    at timestamptz NOT NULL,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 10),
    officer text NOT NULL,
    done text NOT NULL,
    PRIMARY KEY (code, at, status, officer, done)
);

CREATE TABLE code_serials (
    agency text NOT NULL,
    day date NOT NULL,
    last integer NOT NULL CHECK (last < 10000000),
    PRIMARY KEY (agency, day)
);

CREATE TABLE uploaded_files (
    agency text NOT NULL,
    file text NOT NULL,
    digest bytea NOT NULL REFERENCES stored_documents,
    PRIMARY KEY (agency, file)
);

CREATE FUNCTION sync_key(code text) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN (CASE WHEN code LIKE 'H%' THEN 100 ELSE 0 END + substr(code, 2, 2)::bigint) * 1000000000000000
    + replace(substr(code, 5), '-', '')::bigint;

CREATE TABLE agencies (
    code text PRIMARY KEY CHECK (code ~ '^[GH][0-9]{2}$'),
    name_vi text NOT NULL
);
