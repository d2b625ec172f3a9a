-- The five clearest marks of each cluster of one book and layer, in their words.
SELECT c.cluster, c.class, c.i, c.silhouette, right(m.before, 60) AS before, m.token, left(m.after, 30) AS after
FROM clusters c JOIN marks m ON m.book = c.book AND m.class = c.class AND m.i = c.i
WHERE c.book = $book AND c.layer = $layer AND c.among = $among
QUALIFY row_number() OVER (PARTITION BY c.cluster ORDER BY c.silhouette DESC, c.class, c.i) <= 5
ORDER BY c.cluster, c.silhouette DESC, c.class, c.i
