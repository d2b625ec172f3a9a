-- Every pair of one book in one layer: within each class (i < j), and between classes where those were measured.
SELECT class, class AS other, i, j, mi, cov
FROM pairs
WHERE layer = $layer AND book = $book AND i < $marks AND j < $marks
UNION ALL
SELECT class, other, i, j, mi, cov
FROM cross_pairs
WHERE layer = $layer AND book = $book AND i < $marks AND j < $marks
ORDER BY class, other, i, j
