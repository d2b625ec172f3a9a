-- Pairs of one book and layer by the places of their marks in the order of clusters, the clearest marks of each first.
-- Only the first marks of each class take part.
WITH together AS (
    SELECT layer, book, class, class AS other, i, j, mi FROM pairs
    UNION ALL
    SELECT layer, book, class, other, i, j, mi FROM cross_pairs
), placed AS (
    SELECT class, i, cluster, row_number() OVER (ORDER BY cluster, silhouette DESC, class, i) - 1 AS place
    FROM clusters
    WHERE book = $book AND layer = $layer AND among = $among AND i < $marks
)
SELECT a.place AS row, b.place AS col, a.cluster AS first, b.cluster AS second, p.mi
FROM together p
JOIN placed a ON a.class = p.class AND a.i = p.i
JOIN placed b ON b.class = p.other AND b.i = p.j
WHERE p.book = $book AND p.layer = $layer
ORDER BY ALL
