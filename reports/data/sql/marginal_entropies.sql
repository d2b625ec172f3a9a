-- Mean entropy of the marks' own histograms and mean number of dimensions left, by layer and class.
SELECT layer, class, avg((hx + hy) / 2 ORDER BY book, i, j) AS entropy, avg(n) AS dimensions
FROM pairs
WHERE ($books IS NULL OR book IN $books) AND i < $marks AND j < $marks
GROUP BY layer, class
ORDER BY layer, class
