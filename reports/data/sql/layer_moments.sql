-- Mean, standard deviation, range and correlation of MI and covariance over all pairs within a class of a layer.
-- Books are merged by the pairwise rule of Chan, Golub and LeVeque (1983): exact, without reading the pairs.
WITH chosen AS (
    SELECT * FROM summaries
    WHERE class = other AND measure IN ('mi', 'cov') AND pairs > 0 AND ($books IS NULL OR book IN $books)
), pooled AS (
    SELECT layer, class, measure, sum(pairs) AS all_pairs,
           sum(pairs * mean ORDER BY book) / sum(pairs) AS all_mean,
           sum(pairs * mi_mean ORDER BY book) / sum(pairs) AS all_mi_mean
    FROM chosen GROUP BY layer, class, measure
), merged AS (
    SELECT layer, class, measure, count(*) AS books, max(all_pairs) AS pairs, max(all_mean) AS mean,
           sum(m2 + pairs * (mean - all_mean) ** 2 ORDER BY book) AS m2,
           sum(mi_comoment + pairs * (mean - all_mean) * (mi_mean - all_mi_mean) ORDER BY book) AS comoment,
           min(minimum) AS minimum, max(maximum) AS maximum
    FROM chosen JOIN pooled USING (layer, class, measure)
    GROUP BY layer, class, measure
)
SELECT layer, class, mi.books AS books, mi.pairs::BIGINT AS pairs,
       mi.mean AS mi_mean, sqrt(mi.m2 / nullif(mi.pairs - 1, 0)) AS mi_std,
       mi.minimum AS mi_min, mi.maximum AS mi_max,
       cov.mean AS cov_mean, sqrt(cov.m2 / nullif(cov.pairs - 1, 0)) AS cov_std,
       cov.minimum AS cov_min, cov.maximum AS cov_max,
       CASE WHEN mi.pairs = cov.pairs THEN cov.comoment / nullif(sqrt(mi.m2) * sqrt(cov.m2), 0) END AS r
FROM (SELECT * FROM merged WHERE measure = 'mi') mi
LEFT JOIN (SELECT * FROM merged WHERE measure = 'cov') cov USING (layer, class)
ORDER BY layer, class
