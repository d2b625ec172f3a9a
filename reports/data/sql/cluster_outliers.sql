-- Of each cluster of one book and layer the commonest set of dimensions that its marks leave out, and how common that set
-- is in it and elsewhere.
WITH counted AS (
    SELECT c.cluster, array_to_string(l.outliers, ', ') AS dimensions, count(*) AS marks
    FROM clusters c
    JOIN mark_layers l ON l.layer = c.layer AND l.book = c.book AND l.class = c.class AND l.i = c.i
    WHERE c.book = $book AND c.layer = $layer AND c.among = $among
    GROUP BY ALL
), commonest AS (
    SELECT cluster, arg_max(dimensions, (marks, dimensions)) AS dimensions, max(marks) AS with_them, sum(marks) AS marks
    FROM counted GROUP BY cluster
)
SELECT m.cluster, m.dimensions, m.with_them / m.marks AS inside,
       coalesce(sum(o.marks) FILTER (o.dimensions = m.dimensions), 0) / sum(o.marks) AS outside
FROM commonest m JOIN counted o ON o.cluster <> m.cluster
GROUP BY m.cluster, m.dimensions, m.with_them, m.marks
ORDER BY m.cluster
