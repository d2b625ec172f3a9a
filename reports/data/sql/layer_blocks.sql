-- Matrices of one book in every layer, averaged over blocks of marks so that all layers fit in one page.
SELECT layer, class, i // $block AS block_row, j // $block AS block_column,
       avg(mi ORDER BY i, j) AS mi, avg(cov ORDER BY i, j) AS cov
FROM pairs
WHERE book = $book AND i < $marks AND j < $marks
GROUP BY layer, class, block_row, block_column
ORDER BY layer, class, block_row, block_column
