-- One row for each book, layer and class: the mean over its pairs within the class.
SELECT layer, class, book,
       coalesce(sum(pairs) FILTER (measure = 'mi'), 0)::BIGINT AS pairs,
       any_value(mean) FILTER (measure = 'mi') AS mi_mean,
       any_value(mean) FILTER (measure = 'cov') AS cov_mean
FROM summaries
WHERE class = other AND measure IN ('mi', 'cov') AND pairs > 0 AND ($books IS NULL OR book IN $books)
GROUP BY layer, class, book
ORDER BY layer, class, book
