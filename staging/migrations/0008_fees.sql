-- What a citizen owes now: the newest obligation while one is due, else the procedure's fee for filing. Nothing where
-- filing costs nothing, and nothing for a dossier that came to no result.
CREATE FUNCTION amount_due(p_code text, p_procedure text, p_status smallint) RETURNS bigint LANGUAGE sql STABLE
RETURN CASE
    WHEN p_status IN (3, 7, 8) THEN NULL
    WHEN p_status = 6 THEN (SELECT amount_vnd FROM obligations WHERE code = p_code ORDER BY fee DESC LIMIT 1)
    ELSE (SELECT nullif(fee_vnd, 0) FROM procedures WHERE code = p_procedure)
END;
