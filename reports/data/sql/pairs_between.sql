-- How many pairs between classes were measured.
SELECT coalesce(sum(pairs), 0)::BIGINT AS pairs
FROM summaries
WHERE class <> other AND measure = 'mi' AND ($books IS NULL OR book IN $books)
