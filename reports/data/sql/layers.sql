-- Which layers, classes and books have pairs within a class, and how many.
SELECT layer, class, count(DISTINCT book) AS books, sum(pairs)::BIGINT AS pairs
FROM summaries
WHERE class = other AND measure = 'mi'
GROUP BY layer, class
ORDER BY layer, class
