-- The dimensions that each of the first marks of one book leaves out, in every layer.
SELECT layer, class, i, outliers
FROM mark_layers
WHERE book = $book AND i < $marks
ORDER BY layer, class, i
