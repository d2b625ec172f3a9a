-- The pairs of one layer that share the most and the least information, with their words in context.
WITH slice AS (
    SELECT class, {mi: mi, book: book, i: i, j: j, n: n, cov: cov, corr: corr} AS pair
    FROM pairs
    WHERE layer = $layer AND ($books IS NULL OR book IN $books) AND i < $marks AND j < $marks AND isfinite(mi)
), chosen AS (
    SELECT class, 'most' AS extreme, unnest(max(pair, $count)) AS pair FROM slice GROUP BY class
    UNION ALL
    SELECT class, 'least', unnest(min(pair, $count)) FROM slice GROUP BY class
)
SELECT c.class, extreme, pair.book AS book, pair.i AS i, pair.j AS j,
       pair.mi AS mi, pair.cov AS cov, pair.corr AS corr, pair.n AS n,
       x.before AS before_i, x.token AS token_i, x.after AS after_i,
       y.before AS before_j, y.token AS token_j, y.after AS after_j
FROM chosen c
LEFT JOIN marks x ON x.book = pair.book AND x.class = c.class AND x.i = pair.i
LEFT JOIN marks y ON y.book = pair.book AND y.class = c.class AND y.i = pair.j
ORDER BY c.class, extreme DESC, CASE WHEN extreme = 'most' THEN -pair.mi ELSE pair.mi END, book, i, j
