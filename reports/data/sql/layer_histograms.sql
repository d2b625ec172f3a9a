-- Pairs per fixed bin of MI and of covariance, layer by layer, summed over books.
WITH bins AS (
    SELECT layer, class, 'mi' AS quantity, unnest(range(len(mi_histogram))) AS bin, unnest(mi_histogram) AS pairs
    FROM summaries WHERE $books IS NULL OR book IN $books
    UNION ALL
    SELECT layer, class, 'cov', unnest(range(len(cov_histogram))), unnest(cov_histogram)
    FROM summaries WHERE $books IS NULL OR book IN $books
)
SELECT quantity, layer, class, bin, sum(pairs)::BIGINT AS pairs
FROM bins
GROUP BY quantity, layer, class, bin
HAVING sum(pairs) > 0
ORDER BY quantity, layer, class, bin
