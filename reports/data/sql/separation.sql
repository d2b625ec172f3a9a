-- Mean MI within two classes, between them, and within random tokens: over books, of each book's mean.
-- Separation is half the sum of the two within less the one between. No pair is read.
WITH by_book AS (
    SELECT layer, book,
           any_value(mean) FILTER (class = $first AND other = $first) AS first,
           any_value(mean) FILTER (class = $second AND other = $second) AS second,
           any_value(mean) FILTER (class = $first AND other = $second) AS between_them,
           any_value(mean) FILTER (class = $baseline AND other = $baseline) AS baseline
    FROM summaries
    WHERE measure = 'mi' AND pairs > 0 AND ($books IS NULL OR book IN $books)
    GROUP BY layer, book
)
SELECT layer, count(*) AS books, avg(first) AS first, avg(second) AS second, avg(between_them) AS between_them,
       avg((first + second) / 2 - between_them) AS separation, avg(baseline) AS baseline
FROM by_book
WHERE first IS NOT NULL AND second IS NOT NULL AND between_them IS NOT NULL
GROUP BY layer
ORDER BY layer
