-- Every pair of one book in every layer, for the bootstrap over its tokens.
SELECT layer, class, i, j, mi, cov
FROM pairs
WHERE book = $book AND i < $marks AND j < $marks
