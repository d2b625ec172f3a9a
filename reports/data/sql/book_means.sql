-- One row for each book, layer and class: the mean over its pairs.
SELECT layer, class, book, pairs, mi_mean, cov_mean
FROM summaries
WHERE pairs > 0 AND ($books IS NULL OR book IN $books)
ORDER BY layer, class, book
