-- Mean activation of each dimension in one layer, over all marks of the class: books weigh by their marks.
WITH dimensions AS (
    SELECT class, book, marks,
           unnest(range(len(mean))) AS dimension,
           unnest(mean) AS activation
    FROM activations
    WHERE layer = $layer AND ($books IS NULL OR book IN $books)
)
SELECT dimension, class, sum(activation::DOUBLE * marks ORDER BY book) / sum(marks) AS mean, sum(marks)::BIGINT AS marks
FROM dimensions
GROUP BY dimension, class
ORDER BY dimension, class
