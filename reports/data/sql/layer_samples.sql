-- A repeatable sample of the pairs of every layer; the same pairs are taken in each.
SELECT layer, class, book, i, j, mi, cov
FROM pairs
WHERE ($books IS NULL OR book IN $books) AND i < $marks AND j < $marks
  AND hash(class, book, i, j, $seed) % 1000000 < $per_million
ORDER BY layer, class, book, i, j
