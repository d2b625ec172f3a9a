-- Pairs of one book and layer with the clusters of their two marks, within a class or of all classes: at most 20,000,
-- the same ones every time.
WITH together AS (
    SELECT layer, book, class, class AS other, i, j, mi, corr, cov FROM pairs
    UNION ALL
    SELECT layer, book, class, other, i, j, mi, corr, cov FROM cross_pairs
)
SELECT least(a.cluster, b.cluster) AS first, greatest(a.cluster, b.cluster) AS second, p.mi, p.corr, p.cov
FROM together p
JOIN clusters a ON a.layer = p.layer AND a.book = p.book AND a.class = p.class AND a.i = p.i AND a.among = $among
JOIN clusters b ON b.layer = p.layer AND b.book = p.book AND b.class = p.other AND b.i = p.j AND b.among = $among
WHERE p.book = $book AND p.layer = $layer
ORDER BY hash(p.class, p.other, p.i, p.j), p.class, p.other, p.i, p.j
LIMIT 20000
