-- Dossiers filed at a counter, and questions about dossiers.

-- A procedure is its agency's; an older dossier may stand under another's, so only new ones are held to it.
ALTER TABLE procedures ADD UNIQUE (code, agency);
ALTER TABLE dossiers
    ADD agency text NOT NULL GENERATED ALWAYS AS (left(code, 3)) STORED,
    DROP CONSTRAINT dossiers_procedure_fkey,
    ADD FOREIGN KEY (procedure, agency) REFERENCES procedures (code, agency) NOT VALID;

-- Who filed it at the counter: an officer of the dossier's agency.
ALTER TABLE dossiers
    ADD filed_by text REFERENCES accounts,
    ADD CHECK ((channel = 'counter') = (filed_by IS NOT NULL));
CREATE FUNCTION check_counter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM accounts WHERE account = NEW.filed_by AND role = 'officer' AND agency = left(NEW.code, 3)
    ) THEN
        RAISE check_violation USING MESSAGE = format('dossiers: %s is no officer of %s', NEW.filed_by, left(NEW.code, 3));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dossiers_at_counter BEFORE INSERT OR UPDATE OF code, filed_by ON dossiers
    FOR EACH ROW WHEN (NEW.filed_by IS NOT NULL) EXECUTE FUNCTION check_counter();

-- A question may be about a dossier: the asker's own, and of the agency that is asked.
CREATE FUNCTION check_question() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM dossiers WHERE code = NEW.code AND citizen = NEW.citizen AND agency = NEW.agency
    ) THEN
        RAISE check_violation
            USING MESSAGE = format('questions: %s is not a dossier of %s at %s', NEW.code, NEW.citizen, NEW.agency);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER questions_own BEFORE INSERT OR UPDATE OF code, citizen, agency ON questions
    FOR EACH ROW WHEN (NEW.code IS NOT NULL) EXECUTE FUNCTION check_question();

-- Certificates say from now on who signs for which agency: made anew when they are next asked for.
DELETE FROM signing_requests;
DELETE FROM signing_credentials;
