-- Every cluster of one book where marks form more than one: its size, how clear and how stable it is, its name, and
-- the words before its clearest mark.
WITH named AS (SELECT layer, book, among, cluster, any_value(name) AS name, any_value(told_by_previous_word) AS told
               FROM cluster_terms GROUP BY ALL)
SELECT c.layer, c.among, c.cluster, count(*) AS marks, avg(c.silhouette ORDER BY c.class, c.i) AS silhouette,
       any_value(c.stability) AS stability, any_value(c.mi_share) AS mi_share, any_value(c.corr_share) AS corr_share,
       any_value(n.told) AS told, any_value(n.name) AS name,
       arg_max(right(m.before, 40) || m.token, (c.silhouette, c.class, c.i)) AS words
FROM clusters c
JOIN marks m ON m.book = c.book AND m.class = c.class AND m.i = c.i
LEFT JOIN named n ON n.layer = c.layer AND n.book = c.book AND n.among = c.among AND n.cluster = c.cluster
WHERE c.book = $book AND c.clusters > 1
GROUP BY c.layer, c.among, c.cluster
ORDER BY c.layer, c.among, c.cluster
