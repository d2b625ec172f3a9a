-- Pairs of one book, class and layer with the clusters of their two marks: at most 20,000, the same ones every time.
SELECT least(a.cluster, b.cluster) AS first, greatest(a.cluster, b.cluster) AS second, p.mi, p.corr, p.cov
FROM pairs p
JOIN clusters a ON a.layer = p.layer AND a.book = p.book AND a.class = p.class AND a.i = p.i AND a.among = p.class
JOIN clusters b ON b.layer = p.layer AND b.book = p.book AND b.class = p.class AND b.i = p.j AND b.among = p.class
WHERE p.book = $book AND p.layer = $layer AND p.class = $class
ORDER BY hash(p.i, p.j), p.i, p.j
LIMIT 20000
