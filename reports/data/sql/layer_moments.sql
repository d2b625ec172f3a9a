-- Mean, standard deviation, range and correlation of MI and covariance over all pairs of a layer and class.
-- Books are merged by the pairwise rule of Chan, Golub and LeVeque (1983): exact, without reading the pairs.
WITH chosen AS (
    SELECT * FROM summaries WHERE pairs > 0 AND ($books IS NULL OR book IN $books)
), pooled AS (
    SELECT layer, class, sum(pairs) AS pairs,
           sum(pairs * mi_mean) / sum(pairs) AS mi_mean,
           sum(pairs * cov_mean) / sum(pairs) AS cov_mean
    FROM chosen GROUP BY layer, class
), deviations AS (
    SELECT layer, class, count(*) AS books,
           sum(c.mi_m2 + c.pairs * (c.mi_mean - p.mi_mean) ** 2) AS mi_m2,
           sum(c.cov_m2 + c.pairs * (c.cov_mean - p.cov_mean) ** 2) AS cov_m2,
           sum(c.mi_cov_comoment
               + c.pairs * (c.mi_mean - p.mi_mean) * (c.cov_mean - p.cov_mean)) AS comoment,
           min(c.mi_min) AS mi_min, max(c.mi_max) AS mi_max,
           min(c.cov_min) AS cov_min, max(c.cov_max) AS cov_max
    FROM chosen c JOIN pooled p USING (layer, class)
    GROUP BY layer, class
)
SELECT layer, class, books, pairs::BIGINT AS pairs,
       mi_mean, sqrt(mi_m2 / nullif(pairs - 1, 0)) AS mi_std, mi_min, mi_max,
       cov_mean, sqrt(cov_m2 / nullif(pairs - 1, 0)) AS cov_std, cov_min, cov_max,
       comoment / nullif(sqrt(mi_m2 * cov_m2), 0) AS r
FROM deviations JOIN pooled USING (layer, class)
ORDER BY layer, class
