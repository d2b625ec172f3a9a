-- How each layer lays out marks of some classes of one book, and how many marks they are of.
SELECT layer, class, marks, sketch
FROM layer_sketches
WHERE book = $book AND class IN $classes
ORDER BY class, layer
