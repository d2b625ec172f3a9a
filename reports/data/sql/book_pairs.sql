-- Every pair of one book in one layer, in no order.
SELECT class, i, j, mi, cov
FROM pairs
WHERE layer = $layer AND book = $book AND i < $marks AND j < $marks
