-- A repeatable sample of the pairs of one layer: the hash of a pair's name decides whether it is taken.
SELECT class, book, i, j, n, mi, cov, corr
FROM pairs
WHERE layer = $layer AND ($books IS NULL OR book IN $books) AND i < $marks AND j < $marks
  AND hash(class, book, i, j, $seed) % 1000000 < $per_million
ORDER BY class, book, i, j
