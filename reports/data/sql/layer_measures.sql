-- What each layer's states look like, class by class: means over books, and the alignment of layers.
SELECT layer, class, count(*) AS books, sum(marks) AS marks,
       avg(anisotropy ORDER BY book) FILTER (NOT isnan(anisotropy)) AS anisotropy,
       avg(intrinsic_dimension ORDER BY book) FILTER (NOT isnan(intrinsic_dimension)) AS intrinsic_dimension,
       avg(norm ORDER BY book) AS norm, avg(massive ORDER BY book) FILTER (NOT isnan(massive)) AS massive,
       list(cka ORDER BY book) AS alignments
FROM layer_measures
WHERE $books IS NULL OR book IN $books
GROUP BY layer, class
ORDER BY class, layer
