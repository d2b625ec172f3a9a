-- The books that have pairs of these classes, by name.
SELECT DISTINCT book
FROM summaries
WHERE class IN $classes AND other IN $classes AND measure = 'mi' AND pairs > 0
  AND ($books IS NULL OR book IN $books)
ORDER BY book
