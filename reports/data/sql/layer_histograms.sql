-- Pairs within a class per fixed bin of MI and of covariance, layer by layer, summed over books.
WITH bins AS (
    SELECT measure AS quantity, layer, class, unnest(range(len(histogram))) AS bin, unnest(histogram) AS pairs
    FROM summaries
    WHERE class = other AND measure IN ('mi', 'cov') AND ($books IS NULL OR book IN $books)
)
SELECT quantity, layer, class, bin, sum(pairs)::BIGINT AS pairs
FROM bins
GROUP BY quantity, layer, class, bin
HAVING sum(pairs) > 0
ORDER BY quantity, layer, class, bin
