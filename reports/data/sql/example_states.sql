-- The hidden states of marks spread evenly over one book, in every layer.
SELECT layer, class, i, state
FROM hidden_states
WHERE book = $book AND i % (CASE class WHEN 'internal' THEN $internal ELSE $terminal END) = 0
ORDER BY layer, class, i
