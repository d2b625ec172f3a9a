-- Dimensions that were left out as outliers (abs(z) above the study's threshold), and for what share of the marks.
WITH dimensions AS (
    SELECT layer, class, marks,
           unnest(range(len(outliers))) AS dimension,
           unnest(outliers) AS marks_without
    FROM activations
    WHERE $books IS NULL OR book IN $books
)
SELECT layer, dimension,
       sum(marks_without) FILTER (class = 'internal') / sum(marks) FILTER (class = 'internal') AS internal_share,
       sum(marks_without) FILTER (class = 'terminal') / sum(marks) FILTER (class = 'terminal') AS terminal_share,
       sum(marks_without)::BIGINT AS marks_without,
       sum(marks)::BIGINT AS marks
FROM dimensions
GROUP BY layer, dimension
HAVING sum(marks_without) > 0
ORDER BY layer, marks_without DESC, dimension
