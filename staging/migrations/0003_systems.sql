-- The connected systems: payments by order, store, results, document axis, exchange, population, support, signing.

ALTER TABLE procedures
    DROP CONSTRAINT procedures_level_check,
    ADD CHECK (level IN ('full', 'partial', 'counter')),
    ADD field text NOT NULL DEFAULT '', -- of government, as LayDanhMucLinhVuc lists them
    ADD days smallint NOT NULL DEFAULT 10 CHECK (days > 0); -- in which it is to be handled

ALTER TABLE dossiers ADD channel text NOT NULL DEFAULT 'online' CHECK (channel IN ('online', 'counter'));

-- What officers asked a citizen to pay while they handled the dossier: fees 1, 2, … Fee 0 is the one for filing.
CREATE TABLE obligations (
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    fee smallint NOT NULL CHECK (fee > 0),
    amount_vnd bigint NOT NULL CHECK (amount_vnd > 0),
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, fee),
    UNIQUE (code, fee, amount_vnd)
);

-- One payment a fee, and of an obligation the amount that was asked for.
ALTER TABLE payments
    ADD fee smallint NOT NULL DEFAULT 0 CHECK (fee >= 0),
    ADD obligation smallint GENERATED ALWAYS AS (nullif(fee, 0)) STORED,
    DROP CONSTRAINT payments_pkey,
    ADD PRIMARY KEY (code, fee),
    ADD FOREIGN KEY (code, obligation, amount_vnd) REFERENCES obligations (code, fee, amount_vnd) ON DELETE CASCADE;

-- Whatever else has a state takes only the steps that stand here; '' is before the first.
CREATE TABLE steps (
    machine text NOT NULL,
    previous text NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (machine, previous, state)
);
INSERT INTO steps VALUES
    ('payment_orders', '', 'open'), ('payment_orders', 'open', 'paid'), ('payment_orders', 'open', 'failed'),
    ('deliveries', '', 'sent'), ('deliveries', 'sent', 'delivered'), ('deliveries', 'sent', 'recalled'),
    ('deliveries', 'delivered', 'received'), ('deliveries', 'delivered', 'refused'),
    ('deliveries', 'delivered', 'recalled'), ('deliveries', 'received', 'in_process'),
    ('deliveries', 'in_process', 'done'),
    ('questions', '', 'open'), ('questions', 'open', 'answered'), ('questions', 'open', 'refused'),
    ('questions', 'answered', 'closed'), ('questions', 'answered', 'open'),
    ('messages', '', 'answered'), ('messages', '', 'failed'), ('messages', 'failed', 'answered');

CREATE FUNCTION check_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_previous text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF v_previous <> NEW.state
        AND NOT EXISTS (SELECT FROM steps WHERE (machine, previous, state) = (TG_TABLE_NAME, v_previous, NEW.state))
    THEN
        RAISE check_violation USING MESSAGE = format('%s: from %L to %L is not allowed', TG_TABLE_NAME, v_previous, NEW.state);
    END IF;
    RETURN NEW;
END $$;

-- A paid obligation sends its dossier back to being handled, whoever recorded the payment.
CREATE FUNCTION go_on_after_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dossiers SET status = 4, version = version + 1 WHERE code = NEW.code AND status = 6;
    RETURN NULL;
END $$;
CREATE TRIGGER payments_go_on AFTER INSERT ON payments
    FOR EACH ROW WHEN (NEW.fee > 0) EXECUTE FUNCTION go_on_after_payment();

-- The fee that a citizen owes now: the newest obligation while one is due, else the fee for filing.
CREATE FUNCTION fee_due(p_code text, p_status smallint) RETURNS smallint LANGUAGE sql STABLE
RETURN CASE WHEN p_status = 6 THEN (SELECT max(fee) FROM obligations WHERE code = p_code) ELSE 0 END;

-- An order that a bank was asked to carry out; its name is the code and the time, as payment look-ups have it.
CREATE TABLE payment_orders (
    name text PRIMARY KEY,
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    fee smallint NOT NULL,
    amount_vnd bigint NOT NULL CHECK (amount_vnd > 0),
    state text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX payment_orders_paid ON payment_orders (code, fee) WHERE state = 'paid';
CREATE TRIGGER payment_orders_step BEFORE INSERT OR UPDATE OF state ON payment_orders
    FOR EACH ROW EXECUTE FUNCTION check_step();

-- The banks' own book. It knows no dossiers: what it says of them may differ from what the portal says.
CREATE TABLE bank_transactions (
    code text NOT NULL, -- the payer's reference
    transaction text NOT NULL,
    amount_vnd bigint NOT NULL CHECK (amount_vnd > 0),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, transaction)
);

CREATE TABLE reconciliations (
    agency text NOT NULL,
    day date NOT NULL,
    matched integer NOT NULL,
    differences jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agency, day)
);

-- Documents kept once by their content. Whoever owns one may put it into any of their dossiers.
CREATE TABLE stored_documents (
    digest bytea PRIMARY KEY CHECK (digest = sha256(content)),
    content bytea NOT NULL
);
ALTER TABLE stored_documents ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE stored_for (
    citizen text NOT NULL REFERENCES accounts,
    digest bytea NOT NULL REFERENCES stored_documents,
    name text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (citizen, digest)
);

CREATE TABLE reused (
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    digest bytea NOT NULL,
    citizen text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, digest),
    FOREIGN KEY (citizen, digest) REFERENCES stored_for
);

-- A paper that an officer scanned and signed at the counter.
CREATE TABLE digitised (
    code text NOT NULL REFERENCES dossiers ON DELETE CASCADE,
    digest bytea NOT NULL REFERENCES stored_documents,
    name text NOT NULL,
    officer text NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, digest)
);

-- The signed result of a dossier; there is none unless the dossier was returned.
CREATE TABLE results (
    code text PRIMARY KEY REFERENCES dossiers ON DELETE CASCADE,
    digest bytea NOT NULL REFERENCES stored_documents,
    officer text NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION check_reuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM dossiers WHERE code = NEW.code AND citizen = NEW.citizen) THEN
        RAISE check_violation USING MESSAGE = format('reused: %s is not a dossier of %s', NEW.code, NEW.citizen);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reused_own BEFORE INSERT OR UPDATE ON reused FOR EACH ROW EXECUTE FUNCTION check_reuse();

CREATE FUNCTION check_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM dossiers WHERE code = NEW.code AND status = 10) THEN
        RAISE check_violation USING MESSAGE = format('results: %s was not returned', NEW.code);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER results_returned BEFORE INSERT OR UPDATE ON results FOR EACH ROW EXECUTE FUNCTION check_result();

-- The document axis: a document and, for each receiver, how far it has come.
CREATE TABLE axis_documents (
    sender text NOT NULL,
    document text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('letter', 'decision', 'report', 'work')),
    title text NOT NULL,
    content bytea NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sender, document)
);
ALTER TABLE axis_documents ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE deliveries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver text NOT NULL,
    sender text NOT NULL,
    document text NOT NULL,
    state text NOT NULL DEFAULT 'sent',
    note text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT now(), -- of the latest step
    UNIQUE (sender, document, receiver),
    FOREIGN KEY (sender, document) REFERENCES axis_documents ON DELETE CASCADE,
    CHECK (sender <> receiver)
);
CREATE INDEX deliveries_waiting ON deliveries (receiver, number) WHERE state = 'sent';
CREATE TRIGGER deliveries_step BEFORE INSERT OR UPDATE OF state ON deliveries
    FOR EACH ROW EXECUTE FUNCTION check_step();

-- What ministers and officers send one another over the axis: an opinion asked for, a meeting's papers, a task.
CREATE TABLE work_items (
    sender text NOT NULL,
    document text NOT NULL,
    matter text NOT NULL CHECK (matter IN ('meeting', 'opinion', 'task')),
    officer text NOT NULL REFERENCES accounts,
    due_at timestamptz,
    PRIMARY KEY (sender, document),
    FOREIGN KEY (sender, document) REFERENCES axis_documents ON DELETE CASCADE
);

-- The population database: invented citizens only. The first three digits are of no province.
CREATE TABLE population (
    number text PRIMARY KEY CHECK (number ~ '^099[0-9]{9}$'),
    account text NOT NULL UNIQUE REFERENCES accounts,
    name text NOT NULL,
    born date NOT NULL
);

-- Tokens left of those who may call only so often; lost in a crash, which gives everybody a full bucket.
CREATE UNLOGGED TABLE rate_limits (
    caller text PRIMARY KEY,
    tokens double precision NOT NULL CHECK (tokens >= 0),
    at timestamptz NOT NULL
);

-- What the exchange carried: each message of an agency once, with the answer that it gave.
CREATE TABLE messages (
    agency text NOT NULL,
    message text NOT NULL,
    service text NOT NULL,
    digest bytea NOT NULL,
    state text NOT NULL,
    answer jsonb,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agency, message),
    CHECK ((state = 'answered') = (answer IS NOT NULL))
);
CREATE TRIGGER messages_step BEFORE INSERT OR UPDATE OF state ON messages
    FOR EACH ROW EXECUTE FUNCTION check_step();

CREATE TABLE questions (
    citizen text NOT NULL REFERENCES accounts,
    question text NOT NULL,
    agency text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('question', 'complaint', 'feedback')),
    text text NOT NULL,
    code text,
    state text NOT NULL DEFAULT 'open',
    answer text,
    officer text REFERENCES accounts,
    satisfied boolean,
    asked_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    PRIMARY KEY (citizen, question),
    CHECK ((state = 'open') OR (answer IS NOT NULL AND officer IS NOT NULL AND answered_at IS NOT NULL)),
    CHECK ((satisfied IS NOT NULL) = (state = 'closed'))
);
CREATE INDEX questions_open ON questions (agency, asked_at) WHERE state = 'open';
CREATE TRIGGER questions_step BEFORE INSERT OR UPDATE OF state ON questions
    FOR EACH ROW EXECUTE FUNCTION check_step();

-- Remote signing. Approval happens at a time drawn when it is asked for, unless the signer acts before.
CREATE TABLE signing_credentials (
    credential text PRIMARY KEY,
    account text NOT NULL UNIQUE REFERENCES accounts,
    key smallint NOT NULL,
    certificate bytea NOT NULL -- DER
);

CREATE TABLE signing_approvals (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    median_s double precision NOT NULL CHECK (median_s >= 0),
    sigma double precision NOT NULL CHECK (sigma >= 0),
    timeout_s double precision NOT NULL CHECK (timeout_s > 0)
);

INSERT INTO signing_approvals VALUES (true, 20, 0.7, 180); -- assumed, but for the third: a published client's wait

CREATE TABLE signing_requests (
    transaction text PRIMARY KEY,
    sad text NOT NULL UNIQUE, -- signature activation data
    credential text NOT NULL REFERENCES signing_credentials,
    hashes bytea[] NOT NULL CHECK (cardinality(hashes) > 0),
    told text NOT NULL, -- what the signer reads in the app
    asked_at timestamptz NOT NULL DEFAULT now(),
    approved_at timestamptz, -- may lie ahead; none when refused
    expires_at timestamptz NOT NULL CHECK (expires_at > asked_at),
    used_at timestamptz,
    is_over boolean NOT NULL DEFAULT false, -- refused or late, and told so
    CHECK (used_at IS NULL OR (approved_at IS NOT NULL AND used_at BETWEEN approved_at AND expires_at))
);
CREATE INDEX signing_requests_credential ON signing_requests (credential, asked_at);

-- A share in percent with two decimals; nothing where there is nothing to count.
CREATE FUNCTION share(part bigint, whole bigint) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN round(100.0 * part / nullif(whole, 0), 2)::double precision;
