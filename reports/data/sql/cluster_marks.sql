-- The cluster of each mark of one book in every layer, among its class or among all classes.
SELECT layer, among, class, i, cluster
FROM clusters
WHERE book = $book AND i < $marks
ORDER BY among, class, i, layer
