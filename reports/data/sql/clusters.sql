-- Every cluster of one book where marks form more than one: its size, how clear and how stable it is, and its name.
WITH named AS (SELECT layer, book, among, cluster, any_value(name) AS name, any_value(told_by_previous_word) AS told
               FROM cluster_terms GROUP BY ALL)
SELECT c.layer, c.among, c.cluster, count(*) AS marks, avg(c.silhouette) AS silhouette,
       any_value(c.stability) AS stability, any_value(c.mi_share) AS mi_share, any_value(c.corr_share) AS corr_share,
       any_value(n.told) AS told, any_value(n.name) AS name
FROM clusters c LEFT JOIN named n USING (layer, book, among, cluster)
WHERE c.book = $book AND c.clusters > 1
GROUP BY c.layer, c.among, c.cluster
ORDER BY c.layer, c.among, c.cluster
