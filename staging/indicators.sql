-- One row of indicators.py, in the order of its fields. %(first)s to %(end)s are dossier codes, and so are the keys.
WITH filed AS (
    SELECT d.code, d.procedure, d.status, d.channel, p.fee_vnd, p.days
    FROM dossiers d JOIN procedures p ON p.code = d.procedure
    WHERE d.code >= %(first)s AND d.code < %(end)s
), stays AS (
    SELECT code, status, at, lead(at) OVER (PARTITION BY code ORDER BY version) AS left_at
    FROM dossier_history WHERE code >= %(first)s AND code < %(end)s
), lives AS (
    SELECT code, min(at) AS filed_at,
        min(at) FILTER (WHERE status = %(received)s) AS received_at,
        -- Where a dossier was finished and returned, the time of finishing counts.
        coalesce(min(at) FILTER (WHERE status = %(finished)s), min(at) FILTER (WHERE status = %(returned)s),
            min(at) FILTER (WHERE status IN (%(not_received)s, %(stopped)s, %(withdrawn)s))) AS ended_at,
        count(*) FILTER (WHERE status = %(supplement_asked)s) AS requests,
        coalesce(sum(coalesce(left_at, now()) - at) FILTER (WHERE status = %(supplement_asked)s), interval '0') AS waited
    FROM stays GROUP BY code
), judged AS (
    SELECT f.*, l.received_at, l.ended_at, l.requests, l.waited,
        -- One withdrawn before it was received was never the agency's to handle.
        NOT (f.status = %(withdrawn)s AND l.received_at IS NULL)
            AND (l.received_at IS NOT NULL OR l.ended_at IS NOT NULL) AS is_counted,
        coalesce(l.received_at, l.filed_at) + make_interval(days => f.days) AS promised_at,
        EXISTS (SELECT FROM components c WHERE c.code = f.code)
            OR EXISTS (SELECT FROM digitised g WHERE g.code = f.code) AS has_components,
        EXISTS (SELECT FROM results r WHERE r.code = f.code) AS has_result,
        EXISTS (SELECT FROM reused u WHERE u.code = f.code) AS has_reused,
        EXISTS (SELECT FROM payments y WHERE y.code = f.code) AS is_paid,
        EXISTS (SELECT FROM obligations o WHERE o.code = f.code) AS has_obligation
    FROM filed f JOIN lives l USING (code)
), counted AS (
    SELECT count(*) AS dossiers,
        count(*) FILTER (WHERE channel = 'online') AS online,
        count(*) FILTER (WHERE is_counted) AS handled,
        count(*) FILTER (WHERE is_counted AND requests <= 1 AND ended_at <= promised_at + waited) AS on_time_stops,
        count(*) FILTER (WHERE is_counted AND ended_at <= promised_at) AS on_time_runs,
        avg(extract(epoch FROM ended_at - received_at) / 86400)
            FILTER (WHERE status IN (%(finished)s, %(returned)s)) AS handling_days,
        count(*) FILTER (WHERE fee_vnd > 0 OR has_obligation) AS charged,
        count(*) FILTER (WHERE (fee_vnd > 0 OR has_obligation) AND is_paid) AS paid,
        count(*) FILTER (WHERE status = %(returned)s) AS returned,
        count(*) FILTER (WHERE has_result) AS results,
        count(*) FILTER (WHERE has_components AND has_result) AS digitised,
        count(*) FILTER (WHERE has_reused) AS reused,
        count(*) FILTER (WHERE has_reused OR has_result) AS shared
    FROM judged
), synchronised AS (
    -- Received is what either side knows of: an agency may report dossiers that were never filed here.
    SELECT count(s.code) AS synchronised, count(*) AS received
    FROM (SELECT sync_code(key) AS code FROM sync_dossiers WHERE key >= %(first_key)s AND key < %(end_key)s) s
        FULL JOIN filed USING (code)
), offered AS (
    SELECT count(*) AS procedures,
        count(*) FILTER (WHERE level <> 'counter') AS online,
        count(*) FILTER (WHERE fee_vnd > 0) AS charged,
        count(*) FILTER (WHERE fee_vnd > 0 AND level <> 'counter') AS payable,
        count(*) FILTER (WHERE level <> 'counter' AND code IN (SELECT procedure FROM filed WHERE channel = 'online'))
            AS used
    FROM procedures WHERE agency = %(agency)s
), asked AS (
    -- 15 working days, public holidays apart, are three weeks.
    SELECT count(*) AS feedback,
        count(*) FILTER (WHERE answered_at <= asked_at + interval '21 days') AS on_time,
        count(*) FILTER (WHERE answered_at <= asked_at + interval '21 days' AND satisfied IS NOT FALSE) AS satisfied
    FROM questions
    WHERE agency = %(agency)s AND asked_at >= %(first_day)s AND asked_at < %(end_day)s
)
SELECT dossiers, counted.online, share(synchronised, received), share(on_time_stops, handled),
    share(on_time_runs, handled), round(handling_days, 2)::double precision,
    share(offered.online, procedures), share(used, offered.online),
    share(counted.online, dossiers),
    round((share(counted.online, dossiers) * share(synchronised, received) / 100)::numeric, 2)::double precision,
    share(payable, offered.charged), share(paid, counted.charged), share(results, returned),
    share(digitised, dossiers), share(reused, dossiers), share(shared, dossiers),
    share(on_time, feedback), share(satisfied, feedback)
FROM counted, synchronised, offered, asked
