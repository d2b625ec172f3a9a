-- Dimensions that were left out as outliers (abs(z) above the study's threshold), and by how many marks of each class.
WITH dimensions AS (
    SELECT layer, class, marks,
           unnest(range(len(outliers))) AS dimension,
           unnest(outliers) AS marks_without
    FROM activations
    WHERE $books IS NULL OR book IN $books
), by_class AS (
    SELECT layer, dimension, class, sum(marks_without)::BIGINT AS left_out, sum(marks)::BIGINT AS marks
    FROM dimensions
    GROUP BY layer, dimension, class
)
SELECT layer, dimension, class, left_out, marks,
       sum(left_out) OVER (PARTITION BY layer, dimension)::BIGINT AS marks_without
FROM by_class
QUALIFY marks_without > 0
ORDER BY layer, marks_without DESC, dimension, class
