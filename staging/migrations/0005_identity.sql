-- Authorization codes of the sign-in: each is for one redirection, one proof key and one use.

CREATE TABLE identity_codes (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the code, which is not kept
    account text NOT NULL REFERENCES accounts,
    client text NOT NULL,
    redirect_uri text NOT NULL,
    challenge text NOT NULL CHECK (challenge ~ '^[A-Za-z0-9_-]{43}$'), -- base64url of the proof key's SHA-256
    scope text NOT NULL,
    nonce text NOT NULL,
    signed_in_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz CHECK (used_at <= expires_at)
);
