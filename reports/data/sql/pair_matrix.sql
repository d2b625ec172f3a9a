-- Every pair of one book in one layer: the upper triangles of the matrices.
SELECT class, i, j, mi, cov
FROM pairs
WHERE layer = $layer AND book = $book AND i < $marks AND j < $marks
ORDER BY class, i, j
