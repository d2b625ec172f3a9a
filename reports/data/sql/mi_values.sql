-- Mutual information of every pair of one book, a list for each layer and class.
SELECT layer, class, coalesce(list(mi) FILTER (isfinite(mi)), []) AS mi
FROM pairs
WHERE book = $book AND i < $marks AND j < $marks
GROUP BY layer, class
ORDER BY layer, class
