-- Mean activation of each dimension in one layer, over all marks of the class: books weigh by their marks.
WITH dimensions AS (
    SELECT class, tokens,
           unnest(range(len(mean))) AS dimension,
           unnest(mean) AS activation
    FROM activations
    WHERE layer = $layer AND ($books IS NULL OR book IN $books)
)
SELECT dimension, class, sum(activation * tokens) / sum(tokens) AS mean, sum(tokens)::BIGINT AS marks
FROM dimensions
GROUP BY dimension, class
ORDER BY dimension, class
