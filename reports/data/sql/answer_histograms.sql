-- How mutual information is spread over the pairs within each class and between, for some books.
SELECT layer, class, other, book, histogram
FROM summaries
WHERE class IN $classes AND other IN $classes AND book IN $books AND measure = 'mi'
ORDER BY book, class, other, layer
