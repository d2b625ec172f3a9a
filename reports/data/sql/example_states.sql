-- The hidden states of about as many marks of each class, spread evenly over one book, in every layer.
SELECT layer, class, i, state
FROM hidden_states JOIN activations USING (layer, class, book)
WHERE book = $book AND i % greatest(1, marks // $marks) = 0
ORDER BY layer, class, i
