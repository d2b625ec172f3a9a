-- How many marks of each class each book has.
SELECT book, class, max(marks) AS marks
FROM activations
WHERE class IN $classes AND book IN $books
GROUP BY book, class
ORDER BY book, class
