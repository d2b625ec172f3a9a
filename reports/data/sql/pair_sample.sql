-- A repeatable sample of the pairs of one layer: the hash of a pair's name decides whether it is taken. Each has its
-- two mark types, in the order of the alphabet.
SELECT p.class AS class, p.book AS book, p.i AS i, p.j AS j, n, mi, cov, corr,
       least(x.mark, y.mark) AS mark, greatest(x.mark, y.mark) AS other_mark
FROM pairs p
JOIN marks x ON x.book = p.book AND x.class = p.class AND x.i = p.i
JOIN marks y ON y.book = p.book AND y.class = p.class AND y.i = p.j
WHERE p.layer = $layer AND ($books IS NULL OR p.book IN $books) AND p.i < $marks AND p.j < $marks
  AND hash(p.class, p.book, p.i, p.j, $seed) % 1000000 < $per_million
ORDER BY p.class, p.book, p.i, p.j
