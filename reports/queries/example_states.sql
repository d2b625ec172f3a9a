-- The hidden states of the first marks of one book, in every layer.
SELECT layer, class, i, state
FROM hidden_states
WHERE book = $book AND i < $marks
ORDER BY layer, class, i
