-- Which layers, classes and books have pairs, and how many.
SELECT layer, class, count(DISTINCT book) AS books, sum(pairs)::BIGINT AS pairs
FROM summaries
GROUP BY layer, class
ORDER BY layer, class
