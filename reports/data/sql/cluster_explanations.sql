-- Clusters of the same explanation over all books: in how many books, in which layers, of how many marks. Which words
-- a cluster stands behind, or which passage it lies in, differs from book to book and is left out of its explanation.
WITH named AS (
    SELECT book, layer, among, cluster, any_value(name) AS name, any_value(told_by_previous_word) AS told,
           coalesce(bool_or(feature = 'abbreviation' AND value = 'yes' AND inside >= 0.6 AND q <= 0.05), false) AS abbreviated
    FROM cluster_terms
    GROUP BY ALL
), found AS (
    SELECT n.book, n.layer, n.among, n.told, c.marks, c.stability, c.mi_share,
           CASE WHEN n.abbreviated AND contains(n.name, 'after ') THEN regexp_replace(n.name, 'after .*', 'after abbreviations')
                ELSE regexp_replace(regexp_replace(regexp_replace(n.name, 'after .*', 'after certain words'),
                                                   'before .*', 'before certain words'),
                                    'in passage .*', 'in one passage')
           END AS explanation
    FROM named n
    JOIN (SELECT book, layer, among, cluster, any_value(marks) AS marks, any_value(stability) AS stability,
                 any_value(mi_share) AS mi_share
          FROM clusters WHERE clusters > 1 GROUP BY ALL) c USING (book, layer, among, cluster)
)
SELECT among, explanation, count(DISTINCT book) AS books, count(*) AS clusters,
       count(DISTINCT layer) AS layers, min(layer) AS first_layer, max(layer) AS last_layer,
       median(marks)::INTEGER AS marks, median(stability) AS stability, median(mi_share) AS mi_share, median(told) AS told
FROM found
GROUP BY among, explanation
ORDER BY among, books DESC, clusters DESC, explanation
