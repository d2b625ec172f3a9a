-- What becomes of the difference and the separation of two classes under other specifications, book by book.
SELECT specification, axis, kind, states, estimator, bins, outlier_z, selection, half, context, bos, words, weights,
       model, book, quantity, layer, estimate, low, high, sample
FROM sensitivity
WHERE class = $first AND other = $second AND ($books IS NULL OR book IN $books)
ORDER BY specification, book, quantity, layer
